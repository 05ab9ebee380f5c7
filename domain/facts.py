"""Facts: what a step of the engine decided or learned, in the words the ledger keeps.

Facts are values. The committer writes those of one drained batch in one transaction, before
any effect that rests on them leaves.
"""

from __future__ import annotations

import enum
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


class EvidenceKind(enum.Enum):
    ABSENT = "absent"
    FOUND = "found"
    BURNED = "burned"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class EvidenceRecorded:
    """What was found out about an order whose fate was not known. `venue_ms` is 0 where no time of the venue came."""

    cloid: str
    kind: EvidenceKind
    venue_ms: int
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class FillRecorded:
    """One execution, once, with the intent it belongs to and what it realised.

    `intent_id` is None exactly when `via` is EXTERNAL; `reason` says why the trade happened, or its external kind.
    """

    fill: Fill
    intent_id: str | None
    via: MatchedVia
    realised: Decimal
    reason: str
    seq: int


@dataclass(frozen=True, slots=True)
class FillRevised:
    """A fill that is in the ledger belongs to another intent, or realised something else, than was thought.

    Better evidence came, or fills from before it. All four values stand from here on.
    """

    trade_id: str
    intent_id: str | None
    via: MatchedVia
    realised: Decimal
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class PositionChanged:
    position: Position


@dataclass(frozen=True, slots=True)
class PositionAdjusted:
    """A position is another than its fills say, by the venue's word and for a reason that is no fill of ours to have.

    `kind`: "opening_balance" for what was open before this ledger began.
    """

    symbol: str
    before: Decimal
    after: Decimal
    price: Decimal
    at_ms: int
    kind: str


@dataclass(frozen=True, slots=True)
class GapOpened:
    """Between two neighbouring fills of a symbol the position changed by itself: fills are missing, or nobody has them.

    `before_trade_id`, the fill after the gap, names it; `after_trade_id` is None before a symbol's first fill.
    `expected` is the position after the one, `found` the venue's word before the other.
    """

    symbol: str
    after_trade_id: str | None
    before_trade_id: str
    expected: Decimal
    found: Decimal
    time_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class GapClosed:
    before_trade_id: str
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class TradeClosed:
    """A round trip ended. `meta` is JSON text: who decided, on what, and how its fills were matched.

    `closing_trade_id` is the fill that ended it, which names it: one fill ends one trip at most.
    """

    trade: Trade
    meta: str
    seq: int
    closing_trade_id: str = ""


@dataclass(frozen=True, slots=True)
class TradeWithdrawn:
    """A trade that was told is none, or another one: fills came late."""

    closing_trade_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class DifferenceOpened:
    """Our books and the venue say different things. `key` names the difference, as long as it lasts.

    `kind`: position, cash, leverage, order_missing, order_unknown. `ours` and `venue` are texts for people.
    """

    key: str
    kind: str
    symbol: str
    ours: str
    venue: str
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class DifferenceClosed:
    """`how` it was closed: they agree again, the venue's word was taken, …"""

    key: str
    how: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CursorMoved:
    """How far something has been read, completely: `FILLS_READ` fills and payments; `BORN` is the first moment."""

    name: str
    until_ms: int


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
class OperatorActed:
    """What an operator asked for, and what they were answered. `verb` in the words of `./aiq`."""

    request_id: str
    verb: str
    symbol: str | None
    source: str
    reason: str
    is_done: bool
    answer: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CashFlowRecorded:
    """Money came to the account, or left it, by no trade. Positive: it came."""

    flow_id: str
    kind: str
    time_ms: int
    amount_usd: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class ProtectionLapsed:
    """An open position has been without a live stop at the venue of its own size from `since_ms` to `until_ms`."""

    symbol: str
    since_ms: int
    until_ms: int
    why: str


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


BORN = "born"
FILLS_READ = "fills_read"

LedgerFact = (
    IntentRecorded
    | OrderChanged
    | EvidenceRecorded
    | FillRecorded
    | FillRevised
    | PositionChanged
    | PositionAdjusted
    | GapOpened
    | GapClosed
    | TradeClosed
    | TradeWithdrawn
    | DifferenceOpened
    | DifferenceClosed
    | CursorMoved
    | FundingRecorded
    | ExitStateChanged
    | RiskChanged
    | OperatorActed
    | CashFlowRecorded
    | ProtectionLapsed
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
class BookedBefore:
    """A fill of an earlier session, as the ledger has it now."""

    fill: Fill
    intent_id: str | None
    via: MatchedVia
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that the engine must know from earlier sessions. Everything is empty for a new ledger.

    `intent_ids` are those of every intent ever written: the memory behind "at most once".
    `trade_ids` are those of every fill ever booked. `live_orders` may still be alive at the
    venue. `opening_intents` are those that opened the positions which are not flat.
    `last_entry_ms` is the time of each symbol's newest entry intent, `newest_fill_ms` that of the
    newest fill (0 for none). `ended_orders` are each symbol's newest that are over. `recent_fills` are those
    that a late one has to find its place among (`domain.recent_fills`), `recent_starts` what was held before
    them, `recent_funding` (symbol, time, amount) what was paid since, `recent_intents` whose they are.
    `open_differences` are (key, kind, symbol, opened_ms). `recent_entries` are (decided_ms, symbol, notional in USD)
    of the newest entry intents, an hour back from the newest; `flow_ids` every flow of cash ever recorded.
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
    last_nonce: int = 0
    ended_orders: tuple[tuple[OrderIntent, Order], ...] = ()
    recent_fills: tuple[BookedBefore, ...] = ()
    recent_starts: tuple[Position, ...] = ()
    recent_funding: tuple[tuple[str, int, Decimal], ...] = ()
    recent_intents: tuple[OrderIntent, ...] = ()
    cursors: tuple[tuple[str, int], ...] = ()
    open_differences: tuple[tuple[str, str, str, int], ...] = ()
    recent_entries: tuple[tuple[int, str, Decimal], ...] = ()
    flow_ids: frozenset[str] = frozenset()

    @property
    def unheard_since_ms(self) -> int:
        """From when on something may have happened that is not in here; 0 for a ledger that begins now.

        Fills and payments are read completely up to a stored moment. An order that is still alive may have been filled
        before it. A ledger from before such moments were stored has its newest fill instead.
        """
        read_ms = dict(self.cursors).get(FILLS_READ, self.newest_fill_ms)
        sent = [order.sent_ms for _, order in self.live_orders]
        return min([*sent, read_ms] if read_ms else sent, default=0)

    @property
    def born_ms(self) -> int:
        """This ledger's first moment: what happened before is nobody's here. 0 where it is not known yet."""
        return dict(self.cursors).get(BORN, 0)
