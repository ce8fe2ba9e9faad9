"""A process that uses a shared limit as fast as it may, and says each tenth of a second what it was granted.

Arguments: URL of Redis, rpm, calls at a time, "soon" to begin before Redis has heard of everybody. Lines: "<epoch seconds> <granted> <refused> <shared> <longest wait>", in sums.
"""

from __future__ import annotations

import asyncio
import sys
import time

import anyio

from llmcore.gateway.access.limits import Want
from llmcore.gateway.access.principal import Limits
from llmcore.gateway.access.redis_shares import RedisShares
from llmcore.gateway.errors import TooMany
from llmcore.secret import Secret

SHARE = "key"


class Spender:
    def __init__(self, shares: RedisShares, rpm: int) -> None:
        self._shares = shares
        self._limits = Limits(rpm=rpm)
        self.granted = self.refused = 0
        self.longest = 0.0

    async def spend(self) -> None:
        while True:
            began = time.monotonic()
            try:
                hold = await self._shares.reserve(SHARE, self._limits, Want(1, 10), 0)
            except TooMany:
                self.refused += 1
            else:
                self.granted += 1
                await self._shares.settle(hold, 7, None)
            self.longest = max(self.longest, time.monotonic() - began)
            await asyncio.sleep(0.005)

    async def tell(self) -> None:
        while True:
            shared = int(self._shares.shared)
            line = f"{time.time():.3f} {self.granted} {self.refused} {shared} {self.longest:.3f}"
            print(line, flush=True)
            await asyncio.sleep(0.1)


async def main(url: str, rpm: int, calls: int, *, soon: bool) -> None:
    async with RedisShares(Secret(url), time.monotonic, time.time) as shares:
        while not soon and not shares.shared:  # noqa: ASYNC110 - its state is what is awaited
            await asyncio.sleep(0.05)
        spender = Spender(shares, rpm)
        async with anyio.create_task_group() as group:
            group.start_soon(spender.tell)
            for _ in range(calls):
                group.start_soon(spender.spend)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), soon="soon" in sys.argv))
