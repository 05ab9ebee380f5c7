"""Connections that speak as told, or whose frames arrive at recorded moments; and what looks once a second find."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from adapters.hyperliquid.feed_health import Verdict
from adapters.hyperliquid.line_reports import LineReport
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.staleness import Judged, Staleness

PING_EVERY_MS = 20_000
PONG_AFTER_MS = 90
Moments = npt.NDArray[np.int64]


def moments(times: Sequence[float] | npt.NDArray[np.float64]) -> Moments:
    """Ascending milliseconds, each once."""
    return np.unique(np.asarray(times, dtype=np.int64))


@dataclass
class Line:
    """A connection that is told to speak: all its coins at once, with these gaps (ms) in between, again and again."""

    coins: tuple[str, ...]
    gaps_ms: tuple[int, ...] = (40,)
    phase: Phase = Phase.LIVE
    data_ms: int = 0
    any_ms: int = 0
    stamp_ms: int = -1
    heard_ms: dict[str, int] = field(default_factory=dict)
    is_account: bool = False

    def report(self, number: int, now_ms: int) -> LineReport:
        quiet = {coin: now_ms - self.heard_ms.get(coin, 0) for coin in self.coins}
        any_ms = now_ms - max(self.any_ms, self.data_ms)
        return LineReport(number, self.phase, now_ms - self.data_ms, any_ms, self.stamp_ms, quiet, self.is_account)

    def open(self, now_ms: int) -> None:
        """A new connection, with everything asked for and nothing heard."""
        self.phase, self.data_ms, self.any_ms = Phase.LIVE, now_ms, now_ms
        self.heard_ms = dict.fromkeys(self.coins, now_ms)

    def pong(self, now_ms: int) -> None:
        if now_ms - self.any_ms >= PING_EVERY_MS:
            self.any_ms = now_ms

    def speak(self, now_ms: int, mute: Collection[str] = (), stamp_at_0: int | None = 0, pace: float = 1.0) -> None:
        """Say what would have been said before now, all but the mute. Stamps count from that of moment 0."""
        last_ms = self._last_ms(now_ms)
        if self.phase is Phase.LIVE and last_ms > self.data_ms:
            self.data_ms = last_ms
            spoken = [coin for coin in self.coins if coin not in mute]
            self.heard_ms |= dict.fromkeys(spoken, last_ms)
            if spoken and stamp_at_0 is not None:
                self.stamp_ms = stamp_at_0 + int(last_ms * pace)

    def _last_ms(self, now_ms: int) -> int:
        rounds, rest_ms = divmod(now_ms - 1, sum(self.gaps_ms))
        begin_ms = rounds * sum(self.gaps_ms)
        return max(begin_ms + each for each in accumulate(self.gaps_ms, initial=0) if each <= rest_ms)


def thin(*coins: str) -> Line:
    return Line(coins or ("THIN",), (300, 900, 2_500, 600, 7_000, 1_400))


class ArrivingLine:
    """One connection. `quotes`: when each coin's came; `others`: when other market data came; both real ms.

    A quote's stamp is the moment at which it came. Without `pongs` nothing but data comes.
    """

    def __init__(
        self, number: int, quotes: Mapping[str, Moments], others: Moments | None = None, *, pongs: bool = True
    ) -> None:
        self.number = number
        self.quotes = dict(quotes)
        parts = [*quotes.values(), *([] if others is None else [others])]
        self.data = np.unique(np.concatenate(parts)) if parts else np.array([], dtype=np.int64)
        self.pongs = pongs

    def reports(self, looks: Moments, opened_ms: int) -> Iterator[LineReport]:
        """What a feed would tell of it at these moments, connected since `opened_ms`."""
        data = _last(self.data, looks, opened_ms).tolist()
        pongs = np.maximum(opened_ms, (looks - PONG_AFTER_MS) // PING_EVERY_MS * PING_EVERY_MS + PONG_AFTER_MS).tolist()
        quoted = np.array([_last(came, looks, opened_ms) for came in self.quotes.values()], dtype=np.int64)
        quoted = quoted.reshape(len(self.quotes), len(looks))
        quiet = (looks - quoted).T.tolist()
        newest = np.maximum.reduce(quoted, axis=0, initial=opened_ms).tolist()
        for place, now_ms in enumerate(looks.tolist()):
            any_ms = max(data[place], pongs[place] if self.pongs else 0)
            newest_ms = newest[place] if newest[place] > opened_ms else -1
            silences = dict(zip(self.quotes, quiet[place], strict=True))
            data_ms, any_ms = now_ms - data[place], now_ms - any_ms
            yield LineReport(self.number, Phase.LIVE, data_ms, any_ms, newest_ms, silences, is_account=False)


def _last(came: Moments, looks: Moments, opened_ms: int) -> Moments:
    """What came last at each look, or the opening."""
    places = np.searchsorted(came, looks, side="right")
    moments_ms: Moments = np.concatenate([np.array([opened_ms], dtype=np.int64), came])[places]
    return np.maximum(opened_ms, moments_ms, dtype=np.int64)


@dataclass
class Spell:
    """A verdict that lasted: seen first and last at these moments; `reason` is the last one."""

    number: int
    verdict: Verdict
    first_ms: int
    last_ms: int
    reason: str


@dataclass
class Watched:
    """What a run of looks found."""

    spells: list[Spell] = field(default_factory=list)
    dead_coins: dict[str, int] = field(default_factory=dict)
    """When a stream was first called dead."""
    doubted_coins: set[str] = field(default_factory=set)
    looks: int = 0

    def of(self, *verdicts: Verdict) -> list[Spell]:
        return [spell for spell in self.spells if spell.verdict in verdicts]

    def note(self, judged: Judged, now_ms: int) -> None:
        self.looks += 1
        for number, judgement in judged.lines.items():
            mine = [spell for spell in self.spells if spell.number == number]
            if mine and mine[-1].verdict is judgement.verdict:
                mine[-1].last_ms, mine[-1].reason = now_ms, judgement.reason
            else:
                self.spells.append(Spell(number, judgement.verdict, now_ms, now_ms, judgement.reason))
        for symbol, judgement in judged.coins.items():
            self.doubted_coins.add(symbol)
            if judgement.verdict is Verdict.DEAD:
                self.dead_coins.setdefault(symbol, now_ms)


def watch(
    lines: Sequence[ArrivingLine],
    start_ms: int,
    end_ms: int,
    *,
    mids_at: Callable[[int], Mapping[str, float]] | None = None,
    price_of: Callable[[str, int], float | None] = lambda symbol, now_ms: None,
    every_ms: int = 1_000,
    check_every_ms: int = 10_000,
    offset_ms: int = 37,
) -> Watched:
    """Look at lines that live from `start_ms` to `end_ms`. Spot checks are answered at once by `mids_at`, if told.

    Looks fall `offset_ms` beside the full seconds since the start, so that none falls on a frame.
    """
    staleness, found = Staleness(), Watched()
    asked_ms = start_ms - check_every_ms
    symbols = [symbol for line in lines for symbol in line.quotes]
    looks = np.arange(start_ms + offset_ms, end_ms, every_ms, dtype=np.int64)
    told = zip(*(line.reports(looks, start_ms) for line in lines), strict=True)
    for now_ms, reports in zip(looks.tolist(), told, strict=True):
        found.note(staleness.look(reports, now_ms, now_ms), now_ms)
        due = mids_at is not None and now_ms - asked_ms >= check_every_ms
        if mids_at is not None and due and staleness.wants_check(symbols, now_ms):
            asked_ms = now_ms
            staleness.checked(now_ms, mids_at(now_ms), lambda symbol, at_ms=now_ms: price_of(symbol, at_ms))  # type: ignore[misc]
    return found
