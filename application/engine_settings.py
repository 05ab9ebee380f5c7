"""What an engine is made for."""

from __future__ import annotations

from dataclasses import dataclass

from domain.candles import Interval
from ports.strategy import WARMUP_CANDLES


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is: one account and one strategy on one interval."""

    account: str
    interval: Interval
    signal_on_candle_close: bool = True
    candle_close_grace_ms: int = 1000
    warms_up_from_history: bool = True
    """Ask for history at start. Off where the candles themselves begin at the anchor (a data set)."""
    warmup_candles: int = WARMUP_CANDLES
    """Fewer than usual only where there are no more: a short recording of somebody else's."""
    from_store: bool = False
    """Start only symbols whose candles are stored; of the others nothing is asked of the venue."""
    accepts_foreign_orders: bool = False
    """Whatever was seen before of another daemon's orders, somebody has looked: entries may go on."""
    candles_streamed: bool = True
    """Off: no candle comes by itself, each is asked for once it has closed."""
    exit_interval: Interval | None = None
    """Candles at whose close indicators may end a position; None: at every price."""
    named: tuple[str, ...] | None = None
    """The symbols to watch; None for all of the universe."""
    top: int | None = None
    """Of them, watch so many of the most traded."""
    waits_for_volumes: bool = False
    """Ask for nothing before `VolumesHeard` has said who is most traded."""
