"""What the operator hears of a feed's health, and when entries are held for it: each change once.

Entries are held from the first verdict that a connection is sick (or the daemon's start) until every connection has
been well for a moment. What is only suspect neither begins a hold nor ends one.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.hyperliquid.feed_health import Judgement, Verdict, coins_text
from adapters.hyperliquid.staleness import Judged
from domain.events import EntriesHeld, Event
from ports.alerts import Alerts

SOURCE = "feed"
WELL_FOR_MS = 3_000
CURED_AFTER_MS = 60_000
"""A stream that was dead is told as well once it was none of the silent ones for so long."""

Put = Callable[[Event], None]


class FeedNews:
    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._told: dict[int, Verdict] = {}
        """Connections whose sickness the operator knows."""
        self._well_since_ms: dict[int, int] = {}
        self._held: dict[int, Verdict] | None = None
        """Connections for which entries are held, with what was said of them; None while they are not."""
        self._dead: dict[str, int] = {}
        """Streams told as dead, and the real moment at which they were last doubtful."""

    @property
    def held(self) -> bool:
        return self._held is not None

    def tell(self, judged: Judged, real_ms: int, put: Put) -> None:
        """Say what is new at this look."""
        self._well_since_ms = {
            number: self._well_since_ms.get(number, real_ms)
            for number, judgement in judged.lines.items()
            if judgement.verdict.is_well
        }
        well = [number for number, since_ms in self._well_since_ms.items() if real_ms - since_ms >= WELL_FOR_MS]
        self._tell_lines(judged.lines, well)
        self._hold(judged.lines, all_well=len(well) == len(judged.lines), put=put)
        self._tell_streams(judged, real_ms)

    def _tell_lines(self, lines: dict[int, Judgement], well: list[int]) -> None:
        for number, judgement in lines.items():
            if judgement.verdict.is_sick and self._told.get(number) is not judgement.verdict:
                self._told[number] = judgement.verdict
                self._alerts.send("feed_stale", f"{judgement.reason}; entries are held, exits go on")
        for number in well:
            if self._told.pop(number, None) is not None:
                self._alerts.send("feed_well", f"connection {number} is well again")
        for number in self._told.keys() - lines.keys():
            del self._told[number]

    def _hold(self, lines: dict[int, Judgement], *, all_well: bool, put: Put) -> None:
        sick = {
            number: each.verdict
            for number, each in lines.items()
            if each.verdict.is_sick or each.verdict is Verdict.STARTING
        }
        known = self._held or {}
        if not sick.items() <= known.items():
            self._held = known | sick
            put(EntriesHeld(SOURCE, "; ".join(each.reason for each in lines.values() if not each.verdict.is_well)))
        elif self._held is not None and all_well:
            self._held = None
            put(EntriesHeld(SOURCE, ""))

    def _tell_streams(self, judged: Judged, real_ms: int) -> None:
        dead = {symbol: each for symbol, each in judged.coins.items() if each.verdict is Verdict.DEAD}
        if new := sorted(dead.keys() - self._dead.keys()):
            reasons = "; ".join(dead[symbol].reason for symbol in new[:_STREAMS_EXPLAINED])
            more = f"; and {coins_text(new[_STREAMS_EXPLAINED:])}" if len(new) > _STREAMS_EXPLAINED else ""
            self._alerts.send("stream_dead", f"{reasons}{more}")
        doubtful = judged.coins.keys() - {symbol for symbol, each in judged.coins.items() if each.verdict.is_well}
        if not all(each.verdict.is_well for each in judged.lines.values()):
            doubtful |= self._dead.keys()  # on a silent connection coins are not judged
        self._dead |= dict.fromkeys(dead.keys() | (self._dead.keys() & doubtful), real_ms)
        cured = [symbol for symbol, at_ms in self._dead.items() if real_ms - at_ms >= CURED_AFTER_MS]
        for symbol in cured:
            del self._dead[symbol]
        if cured:
            self._alerts.send("feed_well", f"streams that were dead are well again: {coins_text(cured)}")


_STREAMS_EXPLAINED = 3
