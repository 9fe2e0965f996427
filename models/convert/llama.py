# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""From Hugging Face's names and layout of a Llama to GGUF's."""

import re

import numpy

from .errors import Refused

OUTER = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
INNER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
# Tables that some checkpoints keep with their weights; they follow from the shape.
TABLES = ("rotary_emb.inv_freq", "freqs_cos", "freqs_sin", "freqs_cis")


def rename(name):
    """GGUF's name of a tensor, or None for one that is no weight."""
    bare = name.removeprefix("_orig_mod.").removeprefix("module.").removeprefix("model.")
    if bare in OUTER:
        return OUTER[bare]
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", bare)
    if match and match[2] in INNER:
        return f"blk.{match[1]}.{INNER[match[2]]}.weight"
    if bare.endswith(TABLES):
        return None
    raise Refused(f"tensor {name} has no place in a Llama")


def interleave(weight, heads):
    """Rotary embedding turns dimension i with i + half in Hugging Face's layout, 2i with 2i + 1 in GGUF's: each head's
    rows are dealt out anew, which changes no score since queries and keys change alike."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(state, heads, kv_heads):
    """{GGUF's name: F32 array}; the head is left out where it is the embedding."""
    found = {}
    for name, array in state.items():
        new = rename(name)
        if new is None:
            continue
        array = numpy.ascontiguousarray(array, dtype=numpy.float32)
        if new.endswith(("attn_q.weight", "attn_k.weight")):
            array = interleave(array, heads if new.endswith("attn_q.weight") else kv_heads)
        found[new] = array
    if "token_embd.weight" not in found:
        raise Refused("there is no embedding (embed_tokens.weight)")
    if "output.weight" in found and numpy.array_equal(found["output.weight"], found["token_embd.weight"]):
        del found["output.weight"]
    return found


def layers_of(found):
    return 1 + max(int(name.split(".")[1]) for name in found if name.startswith("blk."))
