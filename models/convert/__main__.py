# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""Turns a checkpoint into GGUF.

    cd models && python3 -m convert FOLDER OUTPUT.gguf                        a Hugging Face Llama, safetensors
    cd models && python3 -m convert swen_28m.pth OUTPUT.gguf --tokenizer FOLDER  a PyTorch state dict

What a .pth does not say is as in the paper's model unless an option says otherwise. Needs NumPy and the gguf package.
"""

import argparse
import os
import sys

import gguf

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from convert import llama, safetensors, torchfile  # noqa: E402
from convert.errors import Refused  # noqa: E402
from convert.tokenizer import TokenizerFolder, load  # noqa: E402
from train import export  # noqa: E402
from train.shape import Shape  # noqa: E402

NEEDED = ("num_attention_heads", "hidden_size", "intermediate_size", "rms_norm_eps", "max_position_embeddings")
# Each of a config.json's keys that changes what a Llama computes, and the one value that libmulm computes.
PLAIN = {"rope_scaling": None, "attention_bias": False, "mlp_bias": False, "hidden_act": "silu"}


def shape_of_folder(folder):
    """(shape but for what the tensors say, context)"""
    config = load(folder, "config.json")
    if config.get("model_type") != "llama":
        raise Refused(f"{folder}/config.json: model_type is {config.get('model_type')}, not llama")
    for key, value in PLAIN.items():
        if config.get(key, value) != value:
            raise Refused(f"{folder}/config.json: {key} is {config[key]}; libmulm has {value}")
    for key in NEEDED:
        if not isinstance(config.get(key), (int, float)):
            raise Refused(f"{folder}/config.json: {key} is missing or no number")
    heads, width = config["num_attention_heads"], config["hidden_size"]
    if config.get("head_dim", width // heads) * heads != width:
        raise Refused(f"{folder}/config.json: head_dim {config['head_dim']} times {heads} heads is not {width}")
    rope = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0)
    return (Shape(0, 0, width, heads, config.get("num_key_value_heads", heads), config["intermediate_size"], rope,
                  config["rms_norm_eps"]), config["max_position_embeddings"])


def shape_of_options(state, options):
    """A state dict has sizes, but no number of heads, base or epsilon."""
    names = {llama.rename(name): array for name, array in state.items()}
    try:
        width, query = names["token_embd.weight"].shape[1], names["blk.0.attn_q.weight"].shape[0]
        key, inner = names["blk.0.attn_k.weight"].shape[0], names["blk.0.ffn_gate.weight"].shape[0]
    except KeyError as error:
        raise Refused(f"{options.checkpoint}: there is no tensor for {error}") from error
    if query != width or width % options.heads or key % (width // options.heads):
        raise Refused(f"{options.heads} heads do not go into {query} query and {key} key rows of width {width}")
    return (Shape(0, 0, width, options.heads, key // (width // options.heads), inner, options.rope_base,
                  options.epsilon), options.context)


def write(path, found, shape, tokenizer, context, name, kind):
    """Everything that export.write() knows of one's own network, of somebody else's."""
    writer = gguf.GGUFWriter(path + ".part", "llama")
    writer.add_name(name)
    writer.add_file_type(export.TYPES[kind][1])
    export.add_shape(writer, shape, context)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.kinds)
    writer.add_token_merges(tokenizer.merges)
    writer.add_bos_token_id(tokenizer.special("bos_token", "<|im_start|>"))
    writer.add_eos_token_id(tokenizer.special("eos_token", "<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.template)
    for tensor, array in found.items():
        export.add_tensor(writer, tensor, array, export.TYPES[kind][0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + ".part", path)


def convert(options):
    if os.path.isdir(options.checkpoint):
        state, folder = safetensors.read(options.checkpoint), options.tokenizer or options.checkpoint
        shape, context = shape_of_folder(options.checkpoint)
    else:
        if not options.tokenizer:
            raise Refused("a .pth needs --tokenizer, the folder with its tokenizer.json")
        state, folder = torchfile.read(options.checkpoint), options.tokenizer
        shape, context = shape_of_options(state, options)
    found = llama.tensors(state, shape.heads, shape.kv_heads)
    tokenizer = TokenizerFolder(folder)
    tokenizer.pad(len(found["token_embd.weight"]))
    shape = shape._replace(vocabulary=len(tokenizer.tokens), layers=llama.layers_of(found))
    name = options.name or os.path.splitext(os.path.basename(os.path.normpath(options.checkpoint)))[0]
    write(options.output, found, shape, tokenizer, context, name, options.type)
    n = sum(array.size for array in found.values())
    print(f"{options.output}: {n / 1e6:.1f}M parameters, {shape.layers} layers, {shape.vocabulary} tokens, {options.type}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python3 -m convert", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a Hugging Face folder, or a .pth")
    parser.add_argument("output")
    parser.add_argument("--tokenizer", help="folder with tokenizer.json; by default the Hugging Face folder itself")
    parser.add_argument("--type", choices=list(export.TYPES), default="q8_0", help="of the weights (q8_0)")
    parser.add_argument("--name", help="by default the checkpoint's")
    parser.add_argument("--heads", type=int, default=8, help="of a .pth (8)")
    parser.add_argument("--rope-base", type=float, default=1e6, help="of a .pth (1e6)")
    parser.add_argument("--epsilon", type=float, default=1e-5, help="of a .pth's norms (1e-5)")
    parser.add_argument("--context", type=int, default=2048, help="of a .pth (2048)")
    try:
        convert(parser.parse_args(arguments))
    except (Refused, OSError) as error:
        sys.exit(f"convert: {error}")


if __name__ == "__main__":
    main()
