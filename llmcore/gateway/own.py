"""Users' own providers: made when first asked, kept by (user, version), closed when replaced and no call runs any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from llmcore.provider import LlmProvider


class _Kept:
    """One live provider. holders: the calls that run on it."""

    __slots__ = ("holders", "provider", "retired", "version")

    def __init__(self, provider: LlmProvider, version: int) -> None:
        self.provider: LlmProvider = provider
        self.version: int = version
        self.holders: int = 0
        self.retired: bool = False


class Lease:
    """`async with lease: await lease.provider.generate(...)`; the provider stays open as long as somebody holds it."""

    __slots__ = ("_kept", "provider")

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self.provider: LlmProvider = kept.provider
        kept.holders += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give it back; call it once."""
        kept = self._kept
        kept.holders -= 1
        if kept.retired and not kept.holders:
            await kept.provider.aclose()


class OwnProviders:
    """At most `size` of them are kept; the one that was not used for longest goes first."""

    def __init__(self, size: int = 500) -> None:
        self._size = size
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def lease(self, user_id: str, version: int, make: Callable[[], Awaitable[LlmProvider]]) -> Lease:
        """The provider of that version of the user's settings. Raises what `make` raises."""
        kept = self._kept.get(user_id)
        if kept is None or kept.version != version:
            made = _Kept(await make(), version)
            newer = self._kept.get(user_id)
            if newer is not None and newer.version == version:  # another call made it meanwhile
                await made.provider.aclose()
                kept = newer
            else:
                self._kept[user_id] = kept = made
                lease = Lease(kept)
                await self._retire(newer)
                await self._shrink()
                return lease
        else:
            self._kept[user_id] = self._kept.pop(user_id)
        return Lease(kept)

    async def forget(self, user_id: str) -> None:
        """The user's settings are gone or changed."""
        await self._retire(self._kept.pop(user_id, None))

    async def aclose(self) -> None:
        while self._kept:
            _, kept = self._kept.popitem()
            await self._retire(kept)

    async def _shrink(self) -> None:
        while len(self._kept) > self._size:
            oldest = next(iter(self._kept))
            await self._retire(self._kept.pop(oldest))

    async def _retire(self, kept: _Kept | None) -> None:
        if kept is not None:
            kept.retired = True
            if not kept.holders:
                await kept.provider.aclose()
