"""Facts: what a step of the engine decided or learned, in the words the ledger keeps.

Facts are values. The committer writes those of one drained batch in one transaction, before
any effect that rests on them leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from domain.candles import Interval
from domain.exits import ExitState
from domain.fills import Fill, MatchedVia
from domain.gating import GateResult, LastClose, MarketContext
from domain.intents import OrderIntent
from domain.orders import Order
from domain.positions import Position, Trade
from domain.risk import RiskState
from domain.signals import Analyses


@dataclass(frozen=True, slots=True)
class IntentRecorded:
    """A decision to trade, and its first attempt, which is about to be sent."""

    intent: OrderIntent
    order: Order


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """What is known of an order has changed."""

    order: Order
    at_ms: int


@dataclass(frozen=True, slots=True)
class FillRecorded:
    """One execution, once, with the intent it belongs to and what it realised.

    `intent_id` is None exactly when `via` is EXTERNAL; `reason` says why the trade happened.
    """

    fill: Fill
    intent_id: str | None
    via: MatchedVia
    realised: Decimal
    reason: str
    seq: int


@dataclass(frozen=True, slots=True)
class PositionChanged:
    position: Position


@dataclass(frozen=True, slots=True)
class TradeClosed:
    """A round trip ended. `meta` is JSON text: who decided, on what, and how its fills were matched."""

    trade: Trade
    meta: str
    seq: int


@dataclass(frozen=True, slots=True)
class FundingRecorded:
    """One funding payment on one position; `amount_usd` is received when positive."""

    symbol: str
    time_ms: int
    size: Decimal
    rate: Decimal
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class ExitStateChanged:
    """The exits of an open position remember something new; `state` is None once it is flat."""

    symbol: str
    state: ExitState | None


@dataclass(frozen=True, slots=True)
class RiskChanged:
    state: RiskState
    at_ms: int


@dataclass(frozen=True, slots=True)
class ConfigTaken:
    """An overrides text was put in force or refused; `problems` is empty when in force."""

    digest: str
    path: str
    text: str
    problems: tuple[str, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """Indicator state of this symbol starts at this candle, now and after every restart."""

    symbol: str
    interval: Interval
    open_ms: int


@dataclass(frozen=True, slots=True)
class CashSet:
    """The account's cash by the venue's word: what equity is counted from."""

    cash_usd: Decimal
    at_ms: int


@dataclass(slots=True)
class DecisionsRecorded:
    """One line per analysed symbol of a batch, as columns: what was seen and what came of it.

    `signal` is the signal after reversal. `entry_gates` holds, by place, every entry gate's
    answer for symbols with a signal; `intent_ids`, by place, the intent that came of it.
    """

    seq: int
    at_ms: int
    interval: Interval
    open_ms: int
    batch_no: int
    config_digest: str
    context: MarketContext
    symbols: tuple[str, ...]
    analyses: Analyses
    signal: npt.NDArray[np.int8]
    verdict: npt.NDArray[np.int8]
    entry_gates: dict[int, list[GateResult]] = field(default_factory=dict)
    intent_ids: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)


LedgerFact = (
    IntentRecorded
    | OrderChanged
    | FillRecorded
    | PositionChanged
    | TradeClosed
    | FundingRecorded
    | ExitStateChanged
    | RiskChanged
    | ConfigTaken
    | AnchorSet
    | CashSet
)


@dataclass(frozen=True, slots=True)
class CandlesSkipped:
    """Closed candles of a symbol that were not analysed, from `first_ms` to `last_ms` (open times), and why."""

    seq: int
    at_ms: int
    symbol: str
    interval: Interval
    first_ms: int
    last_ms: int
    reason: str


Fact = LedgerFact | DecisionsRecorded | CandlesSkipped


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that the engine must know from earlier sessions. Everything is empty for a new ledger.

    `intent_ids` are those of every intent ever written: the memory behind "at most once".
    `trade_ids` are those of every fill ever booked. `live_orders` may still be alive at the
    venue. `opening_intents` are those that opened the positions which are not flat.
    `last_entry_ms` is the time of each symbol's newest entry intent, `newest_fill_ms` that of the
    newest fill (0 for none).
    """

    instance_tag: bytes
    intent_ids: frozenset[str] = frozenset()
    trade_ids: frozenset[str] = frozenset()
    live_orders: tuple[tuple[OrderIntent, Order], ...] = ()
    positions: tuple[Position, ...] = ()
    opening_intents: tuple[OrderIntent, ...] = ()
    exit_states: tuple[ExitState, ...] = ()
    last_closes: tuple[tuple[str, LastClose], ...] = ()
    last_entry_ms: tuple[tuple[str, int], ...] = ()
    risk: RiskState = field(default_factory=RiskState)
    anchors: tuple[tuple[str, Interval, int], ...] = ()
    cash_usd: Decimal | None = None
    realised_usd: Decimal = Decimal(0)
    fees_usd: Decimal = Decimal(0)
    funding_usd: Decimal = Decimal(0)
    funding_keys: frozenset[tuple[str, int]] = frozenset()
    newest_fill_ms: int = 0

    @property
    def unheard_since_ms(self) -> int:
        """From when on something may have happened that is not in here: 0 if nothing ever could.

        An order that is still alive may have been filled before other orders were.
        """
        sent = [order.sent_ms for _, order in self.live_orders]
        return min([*sent, self.newest_fill_ms] if self.newest_fill_ms else sent, default=0)
