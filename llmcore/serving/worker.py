"""One of several processes: `python -m llmcore.serving.worker`, started by `workers` with an inherited socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

from llmcore.serving.opened import opened
from llmcore.serving.options import Options, gateway_config, llm_config
from llmcore.serving.records import quiet_libraries
from llmcore.serving.run import run, served
from llmcore.serving.workers import HANDED_ON, PARENT, SOCKET


async def main() -> None:
    """Serve until told to stop."""
    options = Options.of_text(os.environ[HANDED_ON])
    config = gateway_config(options, os.environ)
    llm = await llm_config(options, os.environ)
    with socket.socket(fileno=int(os.environ[SOCKET])) as listener:
        async with opened(config, llm, os.environ, source=options.config, migrate=False) as ready:
            quiet_libraries(ready.services.desk.log)
            stop_with(int(os.environ[PARENT]))
            await served(ready, listener)


def stop_with(parent: int) -> None:
    """Stop as if told to, once the pipe with the parent ends: whoever is left alone would keep the port for ever."""
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(parent)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent, gone)


if __name__ == "__main__":
    run(main())
