"""The upstream of many slow streams: an event each STREAM_PACE seconds, as models write; prints its port, ends with its stdin."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.machine import pin, raise_open_files
from benchmarks.upstream import STREAM_HEAD, Server, listen

STREAM_PACE = 0.05


class Pacer(Server):
    async def _pace(self, pieces: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.transport.write(STREAM_HEAD + pieces[0])
        for index, piece in enumerate(pieces[1:], 1):
            await asyncio.sleep(began + index * STREAM_PACE - loop.time())
            self.transport.write(piece)
        self.transport.write(b"0\r\n\r\n")


async def main() -> None:
    pin(1)
    raise_open_files()
    server = await listen(Pacer)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
