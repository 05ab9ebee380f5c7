"""EffectRunner: carries out what the engine wants done; what comes of it returns as events.

Called only with effects whose facts are durable. Orders leave in the order in which they were
decided; an answer that takes long holds nobody else up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from application.candle_sources import CandleSources
from application.committer import Committer
from application.fetch_queue import FetchQueue
from domain.candles import CandleBatch, Interval
from domain.effects import (
    Alert,
    AnswerOperator,
    AskAccount,
    BurnNonce,
    CancelForeign,
    CancelOrder,
    Effect,
    FetchCandles,
    LookForOrder,
    NameOrder,
    RunStrategy,
    StoreCandles,
    SubmitOrder,
    WatchMarket,
)
from domain.events import Event, HistoryLoaded, NonceBurned, OrderLooked, OrderOutcome, StrategyAnswered
from domain.intents import OrderRequest
from domain.orders import Rejected, RejectReason
from domain.strategy_job import StrategyJob
from ports.account import Account
from ports.alerts import Alerts
from ports.candle_history import HistoryUnavailable
from ports.clock import Clock
from ports.operators import NoOperators, Operators
from ports.order_gateway import OrderGateway, VenueUnavailable
from ports.strategy import StrategyFailed, StrategyWorker

HISTORY_RETRY_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Pauses between attempts to fetch a symbol's history; the last one repeats."""

HISTORY_PATIENCE = 3
"""After so many failures the engine is told that there is none for now: nobody waits for this symbol."""

HISTORY_AGAIN_S = 5.0
"""How soon a symbol's history may be fetched again: one that keeps falling out must not eat the venue's limits."""

CANCEL_RETRY_S = (0.2, 1.0, 5.0)
"""Pauses between attempts to cancel; after the last one the operator is told."""


NAME_RETRY_S = (0.5, 2.0, 10.0, 60.0)
"""Pauses before attempts to learn whose an order is; after the last one its fills stay where they are."""


EFFECT_TASKS = ("submit ", "cancel ", "look for ", "burn the nonce of ", "name order ", "strategy job ")
"""How the names of tasks begin that wait for an answer from outside."""


_Key = tuple[str, Interval]


class EffectRunner:
    def __init__(
        self,
        gateway: OrderGateway,
        account: Account,
        ask_account: Callable[[], None],
        sources: CandleSources,
        fetches: FetchQueue,
        watch: Callable[[Sequence[str], Sequence[str]], None],
        committer: Committer,
        alerts: Alerts,
        clock: Clock,
        worker: StrategyWorker | None,
        put: Callable[[Event], None],
        operators: Operators | None = None,
    ) -> None:
        """`ask_account` has the whole account read soon; what it says comes as events, by whoever reads it."""
        self._gateway = gateway
        self._account = account
        self._ask_account = ask_account
        self._sources = sources
        self._watch = watch
        self._committer = committer
        self._alerts = alerts
        self._clock = clock
        self._worker = worker
        self._put = put
        self._operators = operators or NoOperators()
        self._fetches = fetches
        self._stores: asyncio.Queue[CandleBatch] = asyncio.Queue()
        self._failures: dict[_Key, int] = {}
        self._answered_s: dict[_Key, float] = {}
        self.fetched = 0

    def run(self, effects: Sequence[Effect], tasks: asyncio.TaskGroup) -> None:
        """Start every effect, in order. A task that fails for a bug of ours ends the daemon."""
        for effect in effects:
            match effect:
                case SubmitOrder(request=request):
                    tasks.create_task(self._submit(request), name=f"submit {request.cloid}")
                case CancelOrder(symbol=symbol, cloid=cloid):
                    tasks.create_task(self._cancel(symbol, cloid), name=f"cancel {cloid}")
                case CancelForeign(symbol=symbol, oid=oid):
                    tasks.create_task(self._cancel_foreign(symbol, oid), name=f"cancel {symbol} {oid}")
                case LookForOrder():
                    tasks.create_task(self._look(effect), name=f"look for {effect.cloid}")
                case BurnNonce(cloid=cloid, nonce=nonce):
                    tasks.create_task(self._burn(cloid, nonce), name=f"burn the nonce of {cloid}")
                case NameOrder():
                    tasks.create_task(self._name(effect), name=f"name order {effect.oid}")
                case AskAccount():
                    self._ask_account()
                case FetchCandles():
                    self._fetches.put(effect)
                case WatchMarket(symbols=symbols, exit_symbols=exit_symbols):
                    self._watch(symbols, exit_symbols)
                case StoreCandles(candles=candles):
                    self._stores.put_nowait(candles)
                case RunStrategy(job=job):
                    tasks.create_task(self._analyse(job), name=f"strategy job {job.job_no}")
                case AnswerOperator(request_id=request_id, is_done=is_done, text=text):
                    self._operators.answer(request_id, text, is_done=is_done)
                case Alert(code=code, text=text):
                    self._alerts.send(code, text)

    async def fetch_history(self) -> None:
        """Long-lived: answer history requests one after another; one that cannot be answered waits aside."""
        loop = asyncio.get_running_loop()
        while True:
            wanted = await self._fetches.get()
            answered_s = self._answered_s.get((wanted.symbol, wanted.interval), -HISTORY_AGAIN_S)
            early_s = answered_s + HISTORY_AGAIN_S - loop.time()
            if early_s > 0 and not wanted.is_tail:
                loop.call_later(early_s, self._fetches.put, wanted)
            else:
                await self._answer_history(wanted)

    async def store_candles(self) -> None:
        """Long-lived: write closed candles, as many as have come together."""
        while True:
            batches = [await self._stores.get()]
            while not self._stores.empty():
                batches.append(self._stores.get_nowait())
            await self._committer.store(batches)

    async def _submit(self, request: OrderRequest) -> None:
        try:
            outcome = await self._gateway.submit(request)
        except VenueUnavailable as error:
            outcome = Rejected(RejectReason.NOT_SENT, f"not sent: {error}")
        self._put(OrderOutcome(request.cloid, outcome))

    async def _cancel(self, symbol: str, cloid: str) -> None:
        await self._until_through(partial(self._gateway.cancel, symbol, cloid), f"{symbol} {cloid}")

    async def _cancel_foreign(self, symbol: str, oid: int) -> None:
        await self._until_through(partial(self._gateway.cancel_foreign, symbol, oid), f"{symbol} {oid}")

    async def _until_through(self, cancel: Callable[[], Awaitable[None]], what: str) -> None:
        for pause_s in (*CANCEL_RETRY_S, None):
            try:
                await cancel()
                return
            except VenueUnavailable as error:
                if pause_s is None:
                    self._alerts.send("cancel_failed", f"{what}: {error}")
                else:
                    await asyncio.sleep(pause_s)

    async def _look(self, wanted: LookForOrder) -> None:
        try:
            told = await self._account.look(wanted.cloid, wanted.since_ms, everywhere=wanted.everywhere)
        except VenueUnavailable:
            told = [OrderLooked(wanted.cloid, None)]
        for event in told:
            self._put(event)

    async def _burn(self, cloid: str, nonce: int) -> None:
        try:
            burned = await self._gateway.burn(nonce)
        except VenueUnavailable:
            burned = False
        self._put(NonceBurned(cloid, burned))

    async def _name(self, wanted: NameOrder) -> None:
        """Whose an order is decides about fills that are booked already: it can wait, but not for ever."""
        for pause_s in NAME_RETRY_S:
            await asyncio.sleep(pause_s)
            try:
                named = await self._account.name_order(wanted.symbol, wanted.oid)
            except VenueUnavailable:
                continue
            if named is not None:
                self._put(named)
                return

    async def _answer_history(self, wanted: FetchCandles) -> None:
        symbol, interval, loop = wanted.symbol, wanted.interval, asyncio.get_running_loop()
        key = (symbol, interval)
        end_ms = max(wanted.end_ms, _closed_until(self._clock.now_ms(), interval))
        try:
            window, source = await self._sources.candles(
                symbol, interval, wanted.start_ms, end_ms, stored_only=wanted.is_stored
            )
        except HistoryUnavailable as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._alerts.send("history_unavailable", f"{symbol}: {error}")
            if failures == HISTORY_PATIENCE:
                self._put(HistoryLoaded(symbol, interval, None, "venue", str(error), wanted.is_tail))
            pause_s = HISTORY_RETRY_S[min(failures, len(HISTORY_RETRY_S)) - 1]
            loop.call_later(pause_s, self._fetches.put, wanted)
            return
        self._failures.pop(key, None)
        if not wanted.is_tail:
            self._answered_s[key] = loop.time()
        self._put(HistoryLoaded(symbol, interval, window, source, "", wanted.is_tail))
        self.fetched += 1

    async def _analyse(self, job: StrategyJob) -> None:
        assert self._worker is not None, "a strategy that makes jobs comes with a worker"
        try:
            self._put(StrategyAnswered(job.job_no, await self._worker.run(job)))
        except StrategyFailed as error:
            self._put(StrategyAnswered(job.job_no, None, str(error)))


def _closed_until(now_ms: int, interval: Interval) -> int:
    """Open time of the running candle: everything before it has closed."""
    return interval.open_of(now_ms)
