"""One of several processes: `python -m llmcore.serving.worker`, started by `workers` with an inherited socket."""

from __future__ import annotations

import os
import socket

from llmcore.serving.opened import opened
from llmcore.serving.options import Options, gateway_config, llm_config
from llmcore.serving.records import quiet_libraries
from llmcore.serving.run import run, served
from llmcore.serving.workers import HANDED_ON, SOCKET


async def main() -> None:
    """Serve until told to stop."""
    options = Options.of_text(os.environ[HANDED_ON])
    config = gateway_config(options, os.environ)
    llm = await llm_config(options, os.environ)
    with socket.socket(fileno=int(os.environ[SOCKET])) as listener:
        async with opened(config, llm, os.environ, source=options.config, migrate=False) as ready:
            quiet_libraries(ready.services.desk.log)
            await served(ready, listener)


if __name__ == "__main__":
    run(main())
