"""Effects: what the engine wants done outside. They leave only after the facts they rest on are durable."""

from __future__ import annotations

from dataclasses import dataclass

from domain.candles import CandleBatch, Interval
from domain.intents import OrderRequest
from domain.strategy_job import StrategyJob


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class CancelOrder:
    symbol: str
    cloid: str


@dataclass(frozen=True, slots=True)
class CancelForeign:
    """End an order that rests at the venue and is not of this ledger: by the venue's own number for it."""

    symbol: str
    oid: int


@dataclass(frozen=True, slots=True)
class LookForOrder:
    """Ask about an order whose fate is not known; answered by what is found, then `OrderLooked`.

    By its id; `everywhere`: among open orders and fills since `since_ms` too.
    """

    symbol: str
    cloid: str
    since_ms: int
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class BurnNonce:
    """Use up the nonce of an attempt by something that does nothing; answered by `NonceBurned`."""

    cloid: str
    nonce: int


@dataclass(frozen=True, slots=True)
class NameOrder:
    """Ask whose the order behind a fill is; answered by `OrderNamed`, or never where nobody can say."""

    symbol: str
    oid: int


@dataclass(frozen=True, slots=True)
class AskAccount:
    """Read everything that happened to the account and how it stands; answered by events, an `AccountSnapshot` last."""

    reason: str


@dataclass(frozen=True, slots=True)
class FetchCandles:
    """Ask for candles of a symbol from `start_ms` on that have closed, at least those before `end_ms`; answered by
    `HistoryLoaded`.

    `is_tail`: only what follows on candles that are known, such as the one that has just closed; these go first.
    `is_stored`: not asked of the venue where nothing of it is stored.
    """

    symbol: str
    interval: Interval
    start_ms: int
    end_ms: int
    is_tail: bool = False
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class StoreCandles:
    """Keep closed candles, in their final state, in the candle store."""

    candles: CandleBatch


@dataclass(frozen=True, slots=True)
class WatchMarket:
    """Stream these symbols from now on, and no others: quotes and candles of `symbols`, and of `exit_symbols` the
    candles of the exit interval besides."""

    symbols: tuple[str, ...]
    exit_symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStrategy:
    """Analyse a batch in the strategy's worker; answered by `StrategyAnswered`."""

    job: StrategyJob


@dataclass(frozen=True, slots=True)
class AnswerOperator:
    """What came of `OperatorSpoke`: leaves once it is durable."""

    request_id: str
    is_done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell the operator. `code` is stable, `text` is for people."""

    code: str
    text: str


Effect = (
    SubmitOrder
    | CancelOrder
    | CancelForeign
    | LookForOrder
    | BurnNonce
    | NameOrder
    | AskAccount
    | FetchCandles
    | StoreCandles
    | WatchMarket
    | RunStrategy
    | AnswerOperator
    | Alert
)
