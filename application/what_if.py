"""What-if: a recorded market once more, with orders that a simulated exchange fills, and maybe with another config.

Of a session the market, time and the operator's acts are taken, in the recorded order and at the recorded moments.
What became of orders is not: the exchange says that anew, each time. So two runs differ by their configs alone, and
neither is what really happened; how far the simulation is from that, the recorded fills tell.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from application.backtest import JobRunner
from application.candle_memory import CandleMemory
from application.digest import RunDigest
from application.engine import UnifiedEngine
from application.replay import OF_A_FEED, Births, Frames, Stop
from domain.config_events import OverridesText
from domain.effects import (
    AskAccount,
    BurnNonce,
    CancelOrder,
    Effect,
    FetchCandles,
    LookForOrder,
    NameOrder,
    RunStrategy,
    SubmitOrder,
)
from domain.event_text import event_from_plain
from domain.events import (
    AccountSnapshot,
    CandlesChecked,
    CandlesClosed,
    CandleStreams,
    CandleUpdates,
    EntriesHeld,
    Event,
    FillArrived,
    HistoryLoaded,
    MidsChecked,
    NonceBurned,
    OrderCanceled,
    OrderLooked,
    Quotes,
    Recovered,
    StrategyAnswered,
    TimerFired,
    VenueTime,
    VolumesHeard,
)
from domain.facts import DecisionsRecorded, FillRecorded, FundingRecorded, IntentRecorded, TradeClosed
from domain.value_text import ValueTextError
from ports.paper_exchange import PaperExchange
from ports.session_errors import SessionDamaged
from ports.session_log import Entry, Tag
from ports.strategy import StrategyFailed

OF_THE_MARKET = (
    Quotes,
    CandleUpdates,
    CandlesClosed,
    CandleStreams,
    MidsChecked,
    VolumesHeard,
    VenueTime,
    CandlesChecked,
    TimerFired,
    EntriesHeld,
)
"""What another config or another exchange does not change."""


class MarketFrames(Frames, Protocol):
    """Frames of a market that the exchange sees first."""

    def news(self) -> Sequence[Event]:
        """What the frames since the last call did to the account."""
        ...


@dataclass(slots=True)
class Simulated:
    """What a run came to. `verdicts` by (symbol, open time). Money in USD."""

    events: int = 0
    frames: int = 0
    decisions: int = 0
    first_ms: int = 0
    last_ms: int = 0
    intents: list[IntentRecorded] = field(default_factory=list)
    fills: list[FillRecorded] = field(default_factory=list)
    fundings: list[FundingRecorded] = field(default_factory=list)
    trades: list[TradeClosed] = field(default_factory=list)
    verdicts: dict[tuple[str, int], int] = field(default_factory=dict)
    start_equity_usd: Decimal | None = None
    end_equity_usd: Decimal | None = None
    digest: str = ""
    recorded_fills: list[FillArrived] = field(default_factory=list)
    """Executions of the recorded session, which this run does not know."""


@dataclass(slots=True)
class WhatIf:
    """One run. `open_account` makes the exchange, with the account as it stood when the recording began.

    `keeps_config`: reloads of the recording happen again; off where another config is tried.
    """

    engine: UnifiedEngine
    frames: MarketFrames
    births: Births
    open_account: Callable[[AccountSnapshot], PaperExchange]
    jobs: JobRunner | None = None
    keeps_config: bool = True
    until: Stop = field(default_factory=Stop)
    on_event: Callable[[int], None] = lambda _: None
    result: Simulated = field(default_factory=Simulated)
    _exchange: PaperExchange | None = None
    _waiting: deque[Event] = field(default_factory=deque)
    """Answers, to be heard before the next thing that was recorded."""
    _recovered: Recovered | None = None
    _seq: int = 0
    _last_ms: int = 0
    _run: RunDigest = field(default_factory=RunDigest)
    _candles: CandleMemory = field(default_factory=CandleMemory)
    _asked: list[FetchCandles] = field(default_factory=list)
    _recorded_asks: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    _began_ms: int = 0

    def run(self, entries: Iterable[Entry]) -> Simulated:
        """Run to the end of the recording. Raises `SessionDamaged` for a record that contradicts itself."""
        for entry in entries:
            tag = entry[0]
            if tag == Tag.TAKEN or tag == Tag.EVENT:
                if self.until.reached(entry[1], entry[2]):
                    break
                self._last_ms = max(self._last_ms, entry[2])
                self.on_event(entry[2])
                self._answer_unasked()
                event = self._born(entry[3]) if tag == Tag.TAKEN else _read(entry)
                self._hear_recorded(event)
            elif tag == Tag.STEP:
                self._note_asks(entry)
            elif tag == Tag.DROPPED:
                self._born(entry[1])
            elif tag in OF_A_FEED:
                self.result.frames += tag == Tag.FRAME or tag == Tag.HELD
                self._redo(entry)
        result = self.result
        result.digest = self._run.hexdigest()
        result.end_equity_usd = self.engine.equity_usd()
        result.last_ms = self._last_ms
        return result

    # ── what was recorded ────────────────────────────────────────────────────────────────────────

    def _redo(self, entry: Entry) -> None:
        try:
            self.frames.redo(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise SessionDamaged("the session", str(error), seq=self._seq) from error
        if self._exchange is not None:
            for event in self.frames.news():
                self._take(event)

    def _born(self, number: int) -> Event:
        try:
            return self.births.take(number)
        except ValueError as error:
            raise SessionDamaged("the session", str(error), seq=self._seq) from error

    def _hear_recorded(self, event: Event) -> None:
        match event:
            case Recovered():
                self._recovered = event
            case AccountSnapshot() if self._exchange is None:
                self._begin(event)
            case AccountSnapshot():
                self._waiting.append(self._account())
            case FillArrived():
                self.result.recorded_fills.append(event)
            case OverridesText():
                if self.keeps_config:
                    self._take(event)
            case HistoryLoaded():
                self._candles.take_window(event.window)
                self._take(event)
            case _ if isinstance(event, OF_THE_MARKET):
                self._hear_market(event)
            case _:
                pass  # what became of recorded orders

    def _begin(self, snapshot: AccountSnapshot) -> None:
        """The account as it stood; orders that rested then are gone: the exchange never had them."""
        assert self._recovered is not None, "a session begins with what was recovered"
        self._exchange = self.open_account(snapshot)
        self._began_ms = self._last_ms
        self._take(self._recovered)
        for _, order in self._recovered.state.live_orders:
            self._take(OrderCanceled(order.request.cloid, "not at the simulated exchange"))
        self._take(self._account())
        self.result.first_ms = self._last_ms
        self.result.start_equity_usd = snapshot.cash_usd

    def _hear_market(self, event: Event) -> None:
        if self._exchange is None:
            return
        if isinstance(event, Quotes):
            for news in self._exchange.on_quotes(event):
                self._take(news)
        elif isinstance(event, CandleUpdates):
            self._candles.take_updates(event.candles, self.engine.universe.symbols)
        self._take(event)

    def _note_asks(self, entry: Entry) -> None:
        """Which candles the recorded run asked for with this event: their answers are on record."""
        for effect in entry[3]:
            if effect["effect"] == "FetchCandles":
                self._recorded_asks[effect["symbol"], effect["interval"], effect["is_tail"]] += 1

    def _answer_unasked(self) -> None:
        """Candles that only this run has asked for come from what is known by now; then what waits is heard."""
        for asked in self._asked:
            key = (asked.symbol, asked.interval.value, asked.is_tail)
            if self._recorded_asks[key] > 0:
                self._recorded_asks[key] -= 1
                continue
            end_ms = max(asked.end_ms, asked.interval.open_of(self._last_ms))
            window = self._candles.window(asked.symbol, asked.interval, asked.start_ms, end_ms)
            problem = "" if window is not None else "the recording does not hold them"
            self._waiting.append(
                HistoryLoaded(asked.symbol, asked.interval, window, "recording", problem, asked.is_tail)
            )
        self._asked.clear()
        while self._waiting:
            self._take(self._waiting.popleft())

    # ── the engine ───────────────────────────────────────────────────────────────────────────────

    def _take(self, event: Event) -> None:
        """Let the engine hear an event, and what comes of it at once."""
        queue = deque([event])
        while queue:
            self._seq += 1
            self.result.events += 1
            step = self.engine.handle(self._seq, self._last_ms, queue.popleft())
            for fact in step.facts:
                self._run.add(fact)
                self._keep(fact)
            for effect in step.effects:
                queue.extend(self._do(effect))

    def _keep(self, fact: object) -> None:
        result = self.result
        match fact:
            case DecisionsRecorded():
                result.decisions += len(fact.symbols)
                for symbol, verdict in zip(fact.symbols, fact.verdict.tolist(), strict=True):
                    result.verdicts[symbol, fact.open_ms] = verdict
            case IntentRecorded():
                result.intents.append(fact)
            case FillRecorded():
                result.fills.append(fact)
            case FundingRecorded():
                result.fundings.append(fact)
            case TradeClosed():
                result.trades.append(fact)
            case _:
                pass

    def _do(self, effect: Effect) -> Sequence[Event]:
        assert self._exchange is not None, "effects come of events that were heard"
        match effect:
            case SubmitOrder(request=request):
                self._exchange.submit(request, self._last_ms)
            case CancelOrder(symbol=symbol, cloid=cloid):
                return self._exchange.cancel(symbol, cloid)
            case LookForOrder(cloid=cloid):
                return (OrderLooked(cloid, False, self._last_ms, everywhere=True),)
            case BurnNonce(cloid=cloid):
                return (NonceBurned(cloid, True),)
            case AskAccount():
                self._waiting.append(self._account())
            case FetchCandles():
                self._asked.append(effect)
            case RunStrategy(job=job):
                assert self.jobs is not None, "a strategy that makes jobs comes with a worker"
                try:
                    return (StrategyAnswered(job.job_no, self.jobs.run_sync(job)),)
                except StrategyFailed as error:
                    return (StrategyAnswered(job.job_no, None, str(error)),)
            case NameOrder():
                pass  # every fill of the exchange names its order
            case _:
                pass  # nobody is told, nothing is stored, and what is streamed was recorded
        return ()

    def _account(self) -> AccountSnapshot:
        assert self._exchange is not None, "there is an account once the recording has begun"
        return replace(self._exchange.snapshot(), at_ms=self._last_ms, fills_since_ms=self._began_ms)


def _read(entry: Entry) -> Event:
    try:
        return event_from_plain(entry[3], entry[4])
    except ValueTextError as error:
        raise SessionDamaged("the session", f"event {entry[1]} cannot be read: {error}", seq=entry[1]) from error
