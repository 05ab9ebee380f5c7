"""Which connections and streams are stale: each judged by itself, with the others and spot checks as witnesses.

Nothing here waits or asks; looks, reports and answers come in, verdicts go out. The parts: what is usual
(`usual_gaps`), one connection (`line_health`), one coin (`coin_streams`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.hyperliquid.coin_streams import CoinStreams, PriceOf
from adapters.hyperliquid.feed_health import Judgement, Moment, Report, Verdict
from adapters.hyperliquid.line_health import SUSPECT_MS, Around, LineHealth, Look
from adapters.hyperliquid.session import Phase
from adapters.hyperliquid.usual_gaps import LATE_LOOK_MS

OLD_PRICE_MS = 8_000
"""A price that the streams have not renewed for so long is asked for."""
STEP_MS = 2_000
"""A clock that jumps further against real time was set."""
UNSTEADY_MS = 90_000
"""By then the venue's clock was compared with ours again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`lines`: every market connection. `coins`: streams that are silent for too long, on connections that speak."""

    lines: dict[int, Judgement]
    coins: dict[str, Judgement]
    line_of: dict[str, int]
    """Of those coins."""


class Staleness:
    """All connections of a feed. `pace`: the market's milliseconds in a real one."""

    def __init__(self, pace: float = 1.0) -> None:
        self._pace = pace
        self._lines: dict[int, LineHealth] = {}
        self._coins = CoinStreams()
        self._looked_ms: int | None = None
        self._awake_since_ms = _LONG_AGO_MS
        self._offset_ms: float | None = None
        self._of_quotes = False
        self._steady_from_ms = _LONG_AGO_MS

    def look(self, reports: Sequence[Report], real_ms: int, venue_ms: int) -> Judged:
        """Judge what the feed tells now. `real_ms` never goes back; `venue_ms` is the venue's time as we reckon it."""
        market = [report for report in reports if not report.is_account]
        self._of_quotes = self._of_quotes or any(report.quiet for report in market)
        look = self._begin_look(Moment(real_ms, venue_ms, self._pace))
        numbers = {report.number for report in market}
        self._lines = {number: line for number, line in self._lines.items() if number in numbers}
        judged = Judged({}, {}, {})
        for report in market:
            self._coins.look(report, look.passed_ms, real_ms)
        for report in market:
            line = self._lines.get(report.number)
            if line is None:
                line = self._lines[report.number] = LineHealth(report.number, look)
            judgement = line.look(report, look, partial(self._around, report, market, real_ms))
            judged.lines[report.number] = judgement
            if judgement.verdict is Verdict.WELL:
                coins = self._coins.judged(report, look.now)
                judged.coins.update(coins)
                judged.line_of.update(dict.fromkeys(coins, report.number))
        return judged

    def _begin_look(self, now: Moment) -> Look:
        is_first = self._looked_ms is None
        passed_ms = 0 if self._looked_ms is None else now.real_ms - self._looked_ms
        if passed_ms > LATE_LOOK_MS:
            self._awake_since_ms = now.real_ms
        self._looked_ms = now.real_ms
        # A clock that is set, ours or our idea of the venue's, must not make every quote look late.
        offset_ms = now.venue_ms - now.real_ms * self._pace
        if self._offset_ms is not None and abs(offset_ms - self._offset_ms) > STEP_MS * self._pace:
            self._steady_from_ms = now.real_ms + UNSTEADY_MS
        self._offset_ms = offset_ms
        is_steady = now.real_ms >= self._steady_from_ms
        awake_ms = now.real_ms - self._awake_since_ms
        return Look(now, passed_ms, awake_ms, is_steady=is_steady, is_first=is_first, of_quotes=self._of_quotes)

    def checked(self, asked_ms: int, mids: Mapping[str, float], price_of: PriceOf) -> None:
        """Take the answer to a question for mids that was asked at `asked_ms` (real), right after a look.

        `price_of` tells our own mid, as it is before anybody takes the answer's.
        """
        self._coins.checked(asked_ms, mids, price_of)

    def asked_again(self, symbols: Collection[str], real_ms: int) -> None:
        """Streams of these coins were found dead and asked for anew."""
        self._coins.asked_again(symbols, real_ms)

    def wants_check(self, symbols: Collection[str], real_ms: int) -> bool:
        """Whether a spot check would tell something: of an old price, or of a silent connection."""
        doubtful = (Verdict.SUSPECT, Verdict.QUIET, Verdict.DEAD, Verdict.FROZEN, Verdict.DOWN)
        if any(line.judgement.verdict in doubtful for line in self._lines.values()):
            return True
        silences = (self._coins.silence_ms(symbol, real_ms) for symbol in symbols)
        return any(silence_ms is None or silence_ms > OLD_PRICE_MS for silence_ms in silences)

    def _around(self, report: Report, market: Sequence[Report], real_ms: int) -> Around:
        silent_since_ms = real_ms - report.data_silence_ms
        speaking = (
            other.number
            for other in market
            if other.phase in (Phase.SUBSCRIBING, Phase.LIVE)
            and other.data_silence_ms <= SUSPECT_MS
            and other.data_silence_ms < report.data_silence_ms - SUSPECT_MS
        )
        return Around(
            next(speaking, None),
            self._coins.moved(report.quiet, silent_since_ms, real_ms),
            self._coins.are_confirmed(report.quiet, silent_since_ms, real_ms),
        )


_LONG_AGO_MS = -(1 << 60)
