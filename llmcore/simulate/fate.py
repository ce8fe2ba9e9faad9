"""Pure: what becomes of one request at a simulated provider, from its luck, its size and the moment it is made."""

from __future__ import annotations

from random import Random

from attrs import evolve, frozen

from llmcore.simulate.profile import FOREVER, Outage, Profile
from llmcore.simulate.ways import WAYS, Way

_CUT = WAYS["cut"]
_RESET = WAYS["reset"]


@frozen
class Luck:
    """What chance has for one request: numbers in [0, 1), drawn whether they are needed or not, so that another
    configuration which sends the same request has the same.
    """

    first: float
    speed: float
    outage: float
    error: float
    where: float


def draw(random: Random) -> Luck:
    chance = random.random
    return Luck(chance(), chance(), chance(), chance(), chance())


@frozen
class Fate:
    """Seconds from dispatch: `first_s` to the first visible word (infinite: none comes), `last_s` to the last one,
    `end_s` to the end by itself (infinite: it hangs). way: how it fails, None where it succeeds. share: how much of the
    answer comes.
    """

    first_s: float
    last_s: float
    end_s: float
    way: Way | None = None
    share: float = 1.0


def fate(profile: Profile, luck: Luck, now: float, answer_tokens: int) -> Fate:
    """What becomes of a request made at second `now` of the scenario."""
    way = _failing(profile, luck, now)
    if way is not None and way.moment not in {"cut", "stalled"}:
        hangs = way.moment in {"silent", "never_connects"}
        found = Fate(FOREVER, FOREVER, FOREVER if hangs else way.after, way, 0.0)
    else:
        found = _answer(profile, luck, now, answer_tokens, way)
    return _struck(profile, found, now) if profile.outages else found


def _failing(profile: Profile, luck: Luck, now: float) -> Way | None:
    for outage in profile.outages:
        if outage.start <= now < outage.end and luck.outage < outage.share:
            return outage.way
    below = 0.0
    for rate, way in profile.errors:
        below += rate
        if luck.error < below:
            return way
    return None


def _answer(profile: Profile, luck: Luck, now: float, tokens: int, way: Way | None) -> Fate:
    times = 1.0
    for slow in profile.slowdowns:
        if slow.start <= now < slow.end:
            times *= slow.times
    first = profile.first_token.at(luck.first) * times
    rest = max(0, tokens - 1) / profile.speed.at(luck.speed) * times
    if way is None:
        return Fate(first, first + rest, first + rest)
    last = first + rest * luck.where
    return Fate(first, last, FOREVER if way.moment == "stalled" else last, way, luck.where)


def _struck(profile: Profile, found: Fate, now: float) -> Fate:
    """An outage that cuts what is under way ends it earlier."""
    for outage in profile.outages:
        if outage.cuts and now < outage.start < now + found.end_s and outage.share == 1.0:
            found = _cut_at(found, outage, now)
    return found


def _cut_at(found: Fate, outage: Outage, now: float) -> Fate:
    end = outage.start - now
    if end < found.first_s:
        return Fate(FOREVER, FOREVER, end, evolve(_RESET, after=end), 0.0)
    if end >= found.last_s:
        return evolve(found, end_s=end, way=_CUT)
    share = found.share * (end - found.first_s) / (found.last_s - found.first_s)
    return Fate(found.first_s, end, end, _CUT, share)
