# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Stage `export`: GGUF files of a network and its vocabulary, in F16, Q8_0 and Q4_0."""

import os

import gguf
import numpy as np

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
# The least probability of a word that may still be said; models/eval/gate.py chooses it. No key of llama.cpp's.
CONFIDENCE = "mulm.opener.confidence"


def add_shape(writer, shape, context):
    writer.add_block_count(shape.layers)
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)


def add_vocabulary(writer, vocabulary):
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([control if token.startswith("<|") else normal for token in vocabulary.tokens])
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.start)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_unk_token_id(vocabulary.number["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def add_tensor(writer, name, array, kind):
    """Norms stay F32; where rows are quantised to four bits, the embedding, which is the head too, gets eight."""
    if array.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
        return writer.add_tensor(name, array)
    if kind == gguf.GGMLQuantizationType.F16:
        return writer.add_tensor(name, array.astype(np.float16))
    if name == "token_embd.weight" and kind == gguf.GGMLQuantizationType.Q4_0:
        kind = gguf.GGMLQuantizationType.Q8_0
    return writer.add_tensor(name, gguf.quantize(array, kind), raw_dtype=kind)


def write(path, network, vocabulary, settings, kind):
    kind, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_name(settings["name"])
    writer.add_description(settings["description"])
    writer.add_license("apache-2.0")
    writer.add_file_type(file_type)
    add_shape(writer, network.shape, settings["context"])
    add_vocabulary(writer, vocabulary)
    if "confidence" in settings:
        writer.add_float32(CONFIDENCE, settings["confidence"])
    for name, tensor in network.state_dict().items():
        add_tensor(writer, name, tensor.float().cpu().numpy(), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


def write_all(folder, network, vocabulary, settings):
    for kind in ("f16", "q8_0", "q4_0"):
        write(os.path.join(folder, f"{settings['file']}.{kind}.gguf"), network, vocabulary, settings, kind)
