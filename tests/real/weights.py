"""Writes a tiny llama model with random weights as GGUF: `python weights.py tiny.gguf`; runs in the server's own environment.

What it says means nothing, but all of it is computed: tokenizer, attention, sampling, and text cut anywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np

DIM, HEADS, LAYERS, FEED_FORWARD = 64, 4, 3, 128
CONTEXT = 2048
SEED = 20_26

WORDS = (  # noqa: SIM905 - words read best in a line
    "the a one no every sky sea road lamp river stone window garden winter morning letter clock bird train blue old quiet "
    "small bright is was has sees finds keeps opens asks why when under over with and but then soon"
).split()
SIGNS = ["é", "ß", "日", "本", "🙂"]
TEMPLATE = (
    "{%- for tool in tools or [] %}tool: {{ tool | tojson }}\n{% endfor %}"
    "{%- for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] or '' }}"
    "{%- for call in message['tool_calls'] or [] %}"
    '<tool_call>{"name": "{{ call[\'function\'][\'name\'] }}", "arguments": '
    "{{ call['function']['arguments'] | tojson }}}</tool_call>"
    "{%- endfor %}</s>\n"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}<|assistant|>{% endif %}"
)

# Dimension 0 of every embedding is this constant and passes through all layers, so that column 0 of the output is a bias.
CONSTANT = 8.0
NEVER, ALWAYS = -6.0, 0.0


def vocabulary() -> list[tuple[str, float, gguf.TokenType, float]]:
    """Every token: its piece, its merge score, its type, and how gladly the model says it."""
    normal, control, byte = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.BYTE
    tokens = [("<unk>", 0.0, gguf.TokenType.UNKNOWN, NEVER), ("<s>", 0.0, control, NEVER)]
    tokens += [("</s>", 0.0, control, NEVER)]
    tokens += [(f"<0x{value:02X}>", 0.0, byte, NEVER) for value in range(256)]
    tokens += [(chr(value), -20.0, normal, NEVER) for value in range(33, 127)]
    tokens += [("<tool_call>", 0.0, gguf.TokenType.USER_DEFINED, NEVER)]
    tokens += [("▁", -20.0, normal, NEVER), *((sign, -20.0, normal, ALWAYS) for sign in SIGNS)]
    tokens += _merges()
    return tokens


def _merges() -> list[tuple[str, float, gguf.TokenType, float]]:
    """Every word with its space, and the beginnings by which the tokenizer builds it letter by letter."""
    wholes = {f"▁{word}" for word in WORDS}
    steps = {word[:end] for word in wholes for end in range(2, len(word) + 1)}
    return [
        (piece, -float(len(piece)), gguf.TokenType.NORMAL, ALWAYS if piece in wholes else NEVER)
        for piece in sorted(steps)
    ]


def write(path: Path) -> None:
    tokens = vocabulary()
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("tiny random llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(DIM)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FEED_FORWARD)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(DIM // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(tokens))
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(out, tokens)
    for name, tensor in _tensors(np.array([gladness for *_, gladness in tokens], np.float32)).items():
        out.add_tensor(name, tensor)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _add_tokenizer(out: gguf.GGUFWriter, tokens: list[tuple[str, float, gguf.TokenType, float]]) -> None:
    out.add_tokenizer_model("llama")
    out.add_token_list([piece for piece, *_ in tokens])
    out.add_token_scores([score for _, score, *_ in tokens])
    out.add_token_types([kind for _, _, kind, _ in tokens])
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_add_bos_token(True)
    out.add_add_space_prefix(False)
    out.add_chat_template(TEMPLATE)


def _tensors(gladness: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(SEED)

    def matrix(rows: int, columns: int, scale: float) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    tensors = {"token_embd.weight": matrix(len(gladness), DIM, 1.0)}
    tensors["token_embd.weight"][:, 0] = CONSTANT
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        tensors |= {f"{block}{name}_norm.weight": np.ones(DIM, np.float32) for name in ("attn", "ffn")}
        tensors |= {f"{block}attn_{name}.weight": matrix(DIM, DIM, 0.1) for name in "qkv"}
        tensors[f"{block}attn_output.weight"] = matrix(DIM, DIM, 0.1)
        tensors |= {f"{block}ffn_{name}.weight": matrix(FEED_FORWARD, DIM, 0.1) for name in ("gate", "up")}
        tensors[f"{block}ffn_down.weight"] = matrix(DIM, FEED_FORWARD, 0.1)
    tensors["output_norm.weight"] = np.ones(DIM, np.float32)
    tensors["output.weight"] = matrix(len(gladness), DIM, 0.15)
    tensors["output.weight"][:, 0] = gladness
    return tensors


if __name__ == "__main__":
    write(Path(sys.argv[1]))
