"""From a decision to its bytes at the venue, the intent durable first: our order path beside a lean floor.

Ours is what the daemon does with the facts and effects of a step: committer and SQLite ledger (synchronous=FULL, a
writer thread), effect runner, gateway (window, budget, leverage, encoder, nonce, signature) and `requests` in a thread.
The floor is what no safe order can do without: one small append and its fdatasync, one signature over a digest made
beforehand, one write of a request made beforehand to a warm socket. Both end when a server in another process has
the whole request; they take turns, one order each, so that a slow moment hits both.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.clocks import SystemClock
from adapters.hyperliquid.budget import AddressBudget, WeightBudget
from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.gateway import GatewaySettings, HyperliquidGateway
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.nonces import NonceSource
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.signing import Signer
from adapters.hyperliquid.transport import Bar, HttpReply, HttpTransport
from adapters.sim.symbols import profiles
from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.decision_log import SqliteDecisionLog
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from application.candle_sources import CandleSources
from application.committer import Committer
from application.effect_runner import EffectRunner
from application.fetch_queue import FetchQueue
from application.inbox import Inbox
from benchmarks._order_server import LEVERAGE
from benchmarks._runs import Figures, main
from benchmarks._venue_clients import HttpConnection, http_request, process
from domain.candles import CandleWindow, Interval
from domain.effects import SubmitOrder
from domain.events import AccountSnapshot, Event, OrderNamed, OrderOutcome
from domain.fact_text import fact_to_json
from domain.facts import IntentRecorded, OrderChanged
from domain.field_rules import SecretText
from domain.instruments import Universe
from domain.intents import Action, IntentKey, OrderIntent, Side, TimeInForce, next_nonce, request_for
from domain.orders import Accepted, Order, with_outcome

ORDERS = 600
WARM_UP = 100
"""Orders before the first that counts; by then every symbol's leverage is known."""
SYMBOLS = 20
USER = "0x" + "ab" * 20
DEADLINE_MS = 6_000
WEIGHT = 1_000_000
TARGET = 3.0
WHY = json.dumps({"signal": "BUY", "gates": [[f"gate_{number}", 0.5, 0.25, True] for number in range(12)]})
_BODY_BYTES = 440
"""A signed request for one order."""


def run(orders: int = ORDERS, warm_up: int = WARM_UP, folder: Path | None = None) -> Figures:
    """`ratio` is of the medians, ours over the floor. `commit_ms`, `encode_sign_ms` and `send_ms` are its parts;
    `largest_excess` names the one that costs most beyond the floor's.

    `folder` must lie on a real disk: in memory, waiting for the disk costs nothing.
    """
    figures: Figures = {"orders": orders, "load_before": round(os.getloadavg()[0], 2)}
    with (
        process("-m", "benchmarks._order_server") as ready,
        TemporaryDirectory(prefix="bench-", dir=folder or Path.cwd()) as name,
    ):
        ours, floor = asyncio.run(_measure(ready["url"], Path(name), warm_up + orders))
    ours, floor = ours[warm_up:], floor[warm_up:]
    for prefix, rows in (("", ours), ("floor_", floor)):
        waits = [row.arrived_ns - row.decided_ns for row in rows]
        figures[f"{prefix}p50_ms"] = _ms(statistics.median(waits))
        figures[f"{prefix}p99_ms"] = _ms(sorted(waits)[int(len(waits) * 0.99)])
    figures["ratio"] = round(figures["p50_ms"] / figures["floor_p50_ms"], 2)
    figures["target"] = TARGET
    for prefix, rows in (("", ours), ("floor_", floor)):
        figures[f"{prefix}commit_ms"] = _ms(statistics.median(row.durable_ns - row.decided_ns for row in rows))
        figures[f"{prefix}encode_sign_ms"] = _ms(statistics.median(row.signed_ns - row.durable_ns for row in rows))
        figures[f"{prefix}send_ms"] = _ms(statistics.median(row.arrived_ns - row.signed_ns for row in rows))
    steps = ("commit_ms", "encode_sign_ms", "send_ms")
    figures["largest_excess"] = max(steps, key=lambda step: figures[step] - figures[f"floor_{step}"])
    figures["reply_p50_ms"] = _ms(statistics.median(row.replied_ns - row.decided_ns for row in ours))
    return figures


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)


@dataclass(slots=True)
class _Times:
    """Of one order, on CLOCK_MONOTONIC. `signed_ns`: the request is ready and goes to the transport."""

    decided_ns: int
    durable_ns: int
    signed_ns: int
    replied_ns: int
    arrived_ns: int = 0


async def _measure(url: str, folder: Path, orders: int) -> tuple[list[_Times], list[_Times]]:
    ours: list[_Times] = []
    floor: list[_Times] = []
    universe = Universe(profile.instrument for profile in profiles(SYMBOLS))
    with closing(_Floor(url, folder / "floor")) as bare:
        async with _order_path(url, folder, universe) as path:
            for number, fact in enumerate(_decisions(universe)):
                if number == orders:
                    break
                ours.append(await path.send(fact))
                floor.append(bare.send(fact))
                if number % 200 == 0:
                    print(f"order {number} of {orders}", file=sys.stderr)
        arrived = json.loads(bare.connection.exchange(http_request("/arrived", b"")))
    for number, row in enumerate(row for pair in zip(ours, floor, strict=True) for row in pair):
        row.arrived_ns = arrived[number]
    return ours, floor


def _decisions(universe: Universe) -> Iterator[IntentRecorded]:
    """Entries that the engine could have decided on, each a new one."""
    for number in count():
        now_ms = time.time_ns() // 1_000_000
        symbol = universe.symbols[number % len(universe)]
        key = IntentKey("bench", "mei_alpha_v1", symbol, Action.OPEN, Interval.M1, number * Interval.M1.ms)
        intent = OrderIntent(
            key=key,
            side=Side.BUY,
            size=Decimal(1),
            limit_price=Decimal(50_000),
            time_in_force=TimeInForce.IOC,
            reduce_only=False,
            trigger=None,
            decided_ms=now_ms,
            decided_seq=number,
            deadline_ms=now_ms + DEADLINE_MS,
            leverage=Decimal(LEVERAGE),
            reason="signal",
            why=WHY,
            config_digest="0123456789abcdef",
        )
        yield IntentRecorded(intent, Order(request_for(intent, 1, b"\0\0"), 1, now_ms))


# ── ours ─────────────────────────────────────────────────────────────────────────────────────────


class _NotedTransport:
    """The real transport; notes when a request was handed to it."""

    def __init__(self, inner: HttpTransport) -> None:
        self._inner = inner
        self.posted_ns = 0

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        self.posted_ns = time.monotonic_ns()
        return await self._inner.post(path, body, timeout_s, urgent=urgent, bar=bar)

    async def close(self) -> None:
        await self._inner.close()


class _NoHistory:
    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        raise AssertionError("orders need no history")


class _NoAccount:
    """Every order is answered: nobody has to look for one."""

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        raise AssertionError("nothing is recovered here")

    async def snapshot(self) -> AccountSnapshot:
        raise AssertionError("nobody asks how the account stands")

    async def look(self, cloid: str, since_ms: int, *, everywhere: bool) -> Sequence[Event]:
        raise AssertionError("no order is unknown")

    async def name_order(self, symbol: str, oid: int) -> OrderNamed | None:
        raise AssertionError("no fill is without an order")


class _NoAlerts:
    def send(self, code: str, text: str) -> None:
        raise AssertionError(f"{code}: {text}")


def _watch_nothing(symbols: Sequence[str], exit_symbols: Sequence[str]) -> None:
    raise AssertionError("no market is watched here")


def _ask_nothing() -> None:
    raise AssertionError("the account is not read here")


class _OrderPath:
    def __init__(
        self,
        committer: Committer,
        encoder: ActionEncoder,
        gateway: HyperliquidGateway,
        transport: _NotedTransport,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._committer = committer
        self._encoder = encoder
        self._last_nonce = 0
        self._inbox = Inbox()
        clock = SystemClock()
        sources = CandleSources(committer, _NoHistory(), clock)
        self._runner = EffectRunner(
            gateway,
            _NoAccount(),
            _ask_nothing,
            sources,
            FetchQueue(),
            _watch_nothing,
            committer,
            _NoAlerts(),
            clock,
            None,
            self._inbox.put,
        )
        self._transport = transport
        self._tasks = tasks

    def _sealed(self, fact: IntentRecorded) -> IntentRecorded:
        """With what will be signed, as the OMS does it within the step that decides."""
        request, at_ms = fact.order.request, fact.order.sent_ms
        self._last_nonce = next_nonce(self._last_nonce, at_ms)
        payload = self._encoder.payload(request, self._last_nonce, at_ms + DEADLINE_MS)
        return replace(fact, order=replace(fact.order, request=replace(request, payload=payload)))

    async def send(self, fact: IntentRecorded) -> _Times:
        """As the supervisor does it: write, then send. The answer is written down off the clock."""
        decided_ns = time.monotonic_ns()
        fact = self._sealed(fact)
        await self._committer.commit([fact])
        durable_ns = time.monotonic_ns()
        self._runner.run([SubmitOrder(fact.order.request)], self._tasks)
        while (event := self._inbox.take()) is None:
            await self._inbox.wait()
        replied_ns = time.monotonic_ns()
        assert isinstance(event, OrderOutcome) and isinstance(event.outcome, Accepted), event
        changed = OrderChanged(with_outcome(fact.order, event.outcome), fact.order.sent_ms)
        await self._committer.commit([changed])
        return _Times(decided_ns, durable_ns, self._transport.posted_ns, replied_ns)


@asynccontextmanager
async def _order_path(url: str, folder: Path, universe: Universe) -> AsyncIterator[_OrderPath]:
    clock = SystemClock()
    identity = LedgerIdentity("live", "local", "bench")
    ledger = SqliteLedger(folder / "ledger.sqlite", identity, created_ms=clock.now_ms(), chance=random.Random(7))
    decisions = SqliteDecisionLog(folder / "decisions.sqlite", 1_000_000, "bench")
    candles = SqliteCandleStore(folder / "candles.sqlite", universe.symbols)
    committer = Committer(ledger, decisions, candles)
    transport = _NotedTransport(RequestsTransport(url))
    nonces = NonceSource(folder / "nonces")
    budget = WeightBudget(clock, per_minute=WEIGHT)
    encoder = ActionEncoder(universe, {symbol: place for place, symbol in enumerate(universe.symbols)})
    gateway = HyperliquidGateway(
        transport,
        Signer(_key(), is_mainnet=False),
        nonces,
        encoder,
        budget,
        AddressBudget(),
        InfoClient(transport, budget, clock),
        clock,
        GatewaySettings(user=USER),
        _NoAlerts(),
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            yield _OrderPath(committer, encoder, gateway, transport, tasks)
        await gateway.close()
    finally:
        await transport.close()
        committer.close()
        nonces.close()
        for store in (candles, decisions, ledger):
            store.close()


def _key() -> AgentKey:
    return AgentKey(SecretText("11" * 32), "a benchmark")


# ── the floor ────────────────────────────────────────────────────────────────────────────────────


class _Floor:
    def __init__(self, url: str, path: Path) -> None:
        self.connection = HttpConnection(url)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._key = _key()
        self._request = http_request("/exchange", bytes(_BODY_BYTES))

    def send(self, fact: IntentRecorded) -> _Times:
        text = fact_to_json(fact).encode()
        decided_ns = time.monotonic_ns()
        os.write(self._handle, text)
        os.fdatasync(self._handle)
        durable_ns = time.monotonic_ns()
        self._key.sign_digest(b"\x11" * 32)
        signed_ns = time.monotonic_ns()
        self.connection.send(self._request)
        self.connection.receive()
        return _Times(decided_ns, durable_ns, signed_ns, time.monotonic_ns())

    def close(self) -> None:
        os.close(self._handle)
        self.connection.close()


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
