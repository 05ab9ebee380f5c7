"""Events: everything that can sway a decision, as values. The engine hears nothing else.

An event's identity is (session, seq); `seq` and the moment it was taken come with the call to
`UnifiedEngine.handle`. Market events are made by the thousand and are plain slotted classes
treated as values; everything on the order path is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from domain.candles import CandleBatch, CandleWindow, FloatColumn, Interval
from domain.config_events import OverridesText
from domain.facts import LedgerState
from domain.fills import Fill
from domain.intents import Side
from domain.operator import OperatorVerb
from domain.orders import SubmitOutcome
from domain.signals import Analyses


@dataclass(frozen=True, slots=True)
class Recovered:
    """The ledger's state at start: always the first event of a session."""

    state: LedgerState
    digest: str


@dataclass(slots=True)
class CandleUpdates:
    """Newest state of running candles, one a symbol: volume and extremes grow until they close."""

    candles: CandleBatch
    venue_ms: int


@dataclass(slots=True)
class CandlesClosed:
    """Candles in their final state, from a source that knows they are closed (history, data sets)."""

    candles: CandleBatch


@dataclass(slots=True)
class Quotes:
    """Best bid and ask of some symbols at one venue time; columns over `ids`, ascending."""

    venue_ms: int
    ids: npt.NDArray[np.intp]
    bid: FloatColumn
    ask: FloatColumn


@dataclass(slots=True)
class CandleStreams:
    """Candles of these symbols are streamed from here on (`running`), or no longer.

    While they are not, what is known of a running candle may be incomplete, and a symbol without any is no quiet one.
    A candle heard after they run again is whole: the venue sends its newest state, not a change to it. `silent_ms`: for
    so long nothing had been heard when they were given up, though they were thought to run.
    """

    ids: npt.NDArray[np.intp]
    interval: Interval
    running: bool
    silent_ms: int = 0


@dataclass(slots=True)
class MidsChecked:
    """The venue's answer to a question for mid prices, as of `venue_ms`; columns over `ids`, ascending.

    It tells a quiet symbol from one whose stream is dead: the same price confirms an old quote, another replaces it.
    """

    venue_ms: int
    ids: npt.NDArray[np.intp]
    mid: FloatColumn


@dataclass(slots=True)
class VolumesHeard:
    """What was traded in the last 24 hours, USD; columns over `ids`, ascending. `delisted` are gone from the venue."""

    ids: npt.NDArray[np.intp]
    day_notional_usd: FloatColumn
    delisted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueTime:
    """The venue's own clock, from an answer that tells it."""

    venue_ms: int


@dataclass(slots=True)
class CandlesChecked:
    """Closed candles in the venue's own words, asked for to compare: what was taken may have been wrong."""

    symbol: str
    interval: Interval
    window: CandleWindow


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Time has passed; the moment is the event's own `at_ms`."""


@dataclass(frozen=True, slots=True)
class HistoryLoaded:
    """The answer to `FetchCandles`: closed candles, oldest first, without a gap.

    `problem` says why there are none or fewer than asked; the symbol then stays out of trading. `source` is where
    they came from: `store`, `venue`, or `store+venue`.
    """

    symbol: str
    interval: Interval
    window: CandleWindow | None
    source: str
    problem: str = ""
    is_tail: bool = False


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """The answer to one submission."""

    cloid: str
    outcome: SubmitOutcome


@dataclass(frozen=True, slots=True)
class OrderCanceled:
    """The venue's word that the rest of an order is gone; `reason` is the venue's."""

    cloid: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderLooked:
    """The end of an answer to `LookForOrder`; what was found came before it.

    `found` False: as of `venue_ms` the venue did not know the order by its cloid, and if it was looked for
    `everywhere`, it was not open and had no fill either. That alone does not prove that it never lived. None: nobody
    could say.
    """

    cloid: str
    found: bool | None
    venue_ms: int = 0
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class NonceBurned:
    """The answer to `BurnNonce`. `burned`: nothing signed with that nonce can be accepted from now on."""

    cloid: str
    burned: bool


@dataclass(frozen=True, slots=True)
class OrderNamed:
    """The venue's answer about the order behind a fill: its cloid, None for an order without one."""

    symbol: str
    oid: int
    cloid: str | None
    is_trigger: bool


@dataclass(frozen=True, slots=True)
class FillArrived:
    fill: Fill


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """`amount_usd` is received when positive; `size` is the signed position it was paid on."""

    symbol: str
    time_ms: int
    size: Decimal
    rate: Decimal
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class CashFlowed:
    """Money that came to the account or left it by no trade: deposits, withdrawals, transfers. Positive: it came.

    `flow_id` names it, the same whenever it is told.
    """

    flow_id: str
    kind: str
    time_ms: int
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that waits at the venue, whoever placed it. `size` is what is left of it; the last four are None where
    the venue did not say."""

    symbol: str
    oid: int
    cloid: str | None
    placed_ms: int
    side: Side | None = None
    size: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool | None = None


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """What the venue says of an open position besides its size: average entry, whole leverage."""

    symbol: str
    entry_price: Decimal | None
    leverage: int


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The venue's word on the account as of its time `at_ms`: cash and every open position (signed). Never partial.

    `resting` is every open order, None where they were not asked for. `fills_since_ms`: every fill and payment from
    then up to `at_ms` has been told before this; None where they were not read.
    """

    cash_usd: Decimal
    positions: tuple[tuple[str, Decimal], ...]
    at_ms: int
    held: tuple[HeldPosition, ...] = ()
    resting: tuple[RestingOrder, ...] | None = None
    fills_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EntriesHeld:
    """No entries while `source` has a `reason`; an empty one lifts its hold. Exits are never held."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class OperatorSpoke:
    """Somebody wants something of the daemon; answered by `AnswerOperator`.

    `symbol`: one, or None for all. `source` is where it came from (cli, file, environment), `reason` in their words.
    """

    request_id: str
    verb: OperatorVerb
    symbol: str | None
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class StrategyAnswered:
    """What a strategy worker made of a job; `problem` instead of `analyses` when it failed."""

    job_no: int
    analyses: Analyses | None
    problem: str = ""


Event = (
    Recovered
    | OverridesText
    | CandleUpdates
    | CandlesClosed
    | Quotes
    | CandleStreams
    | MidsChecked
    | VolumesHeard
    | VenueTime
    | CandlesChecked
    | TimerFired
    | HistoryLoaded
    | OrderOutcome
    | OrderCanceled
    | OrderLooked
    | NonceBurned
    | OrderNamed
    | FillArrived
    | FundingPaid
    | CashFlowed
    | AccountSnapshot
    | EntriesHeld
    | OperatorSpoke
    | StrategyAnswered
)
