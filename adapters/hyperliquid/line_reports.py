"""What may be known of one connection from outside: enough to judge whether it still tells the market."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.hyperliquid.lines import Line
from adapters.hyperliquid.session import Phase


@dataclass(frozen=True, slots=True)
class LineReport:
    """Silences are real milliseconds, and 0 while there is no connection."""

    number: int
    phase: Phase
    data_silence_ms: int
    """Since the last frame of market data, or since the connection was opened: pongs and answers are none."""
    any_silence_ms: int
    newest_venue_ms: int
    """The newest time that a quote on it bore; -1 before any."""
    quiet: dict[str, int]
    """Since each symbol's newest quote, for acknowledged streams of quotes; since it was asked for, before any."""
    is_account: bool


def report_of(line: Line, now_ms: int, believed_ms: int, *, is_account: bool) -> LineReport:
    """Report on a connection at a real moment. Stamps later than `believed_ms` cannot be right and do not count."""
    session = line.session
    return LineReport(
        number=line.number,
        phase=session.phase,
        data_silence_ms=session.data_silence_ms(now_ms),
        any_silence_ms=session.any_silence_ms(now_ms),
        newest_venue_ms=session.newest_venue_ms(believed_ms),
        quiet=session.quiet(now_ms),
        is_account=is_account,
    )
