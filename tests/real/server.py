"""Serves one GGUF file by llama.cpp: `python server.py model.gguf address.txt KEY`; runs in the server's own environment.

Writes its address to the file once it answers, and ends when its standard input ends, so that it never outlives its parent.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import xllamacpp

MODEL, SLOTS, CONTEXT_PER_SLOT = "tiny", 4, 1024


def parameters(model: str, key: str) -> xllamacpp.CommonParams:
    """Chat and embeddings from one model; a full context shifts on, so that an answer may be endless.

    A text's vector is that of its last token: llama.cpp computes a mean wrongly for texts of unequal length side by side.
    """
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.model_alias = {MODEL}
    wanted.api_keys = [key]
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.n_parallel = SLOTS
    wanted.n_ctx = SLOTS * CONTEXT_PER_SLOT
    wanted.ctx_shift = True
    wanted.embedding = True
    wanted.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    wanted.endpoint_slots = True
    wanted.cpuparams.n_threads = 1
    return wanted


def main(model: str, address: str, key: str) -> None:
    server = xllamacpp.Server(parameters(model, key))
    ready = Path(f"{address}.new")
    ready.write_text(server.listening_address, "utf-8")
    ready.replace(address)
    sys.stdin.buffer.read()
    os._exit(0)  # open streams would hold an orderly end back


if __name__ == "__main__":
    main(*sys.argv[1:])
