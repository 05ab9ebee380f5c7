"""What is counted of an engine's steps, what makes a daemon ill, and which Host is this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, cast

import pytest
from prometheus_client import Histogram

from adapters.clocks import ManualClock
from adapters.sim.memory_ledger import MemoryLedger
from application.market_data_hub import MarketDataHub
from application.step import Step
from domain.candles import Interval
from domain.facts import DifferenceClosed, DifferenceOpened, Fact, OrderChanged
from domain.fills import MatchedVia
from domain.orders import Order, OrderStatus, RejectReason
from entrypoints.metrics.commits import TimedCommitter
from entrypoints.metrics.health import PATIENCE_MS, Health
from entrypoints.metrics.server import is_this_machine
from entrypoints.metrics.tally import ORDERS_REMEMBERED, Tally
from ports.candle_history import CandleStore
from ports.ledger import DecisionLog
from tests.decision_batches import T0, decisions
from tests.engine_builders import universe_of
from tests.ledger_facts import accepted, filled, intent, order_for, recorded

NOW_MS = T0 + 62_500
DIFFERENCE = DifferenceOpened("position:BTC:", "position", "BTC", "1", "2", "who knows", T0)


def tally_of(*earlier: tuple[str, str, str, int]) -> Tally:
    hub = MarketDataHub(universe_of("BTC"), Interval.M1, 1_000)
    hub.clock.stamp(NOW_MS, NOW_MS)
    return Tally(hub, ManualClock(NOW_MS), earlier)


def note(tally: Tally, *facts: Fact) -> None:
    for seq, fact in enumerate(facts):
        tally.note(Step(seq, NOW_MS, facts=[fact]))


def with_status(order: Order, status: OrderStatus, reason: str = "") -> OrderChanged:
    return OrderChanged(replace(order, status=status, reason=reason), NOW_MS)


def observed(histogram: Histogram, **labels: str) -> dict[str, float]:
    """Count and sum of a histogram's series."""
    samples = [each for metric in histogram.collect() for each in metric.samples if not each.name.endswith("created")]
    return {
        each.name.rpartition("_")[2]: each.value
        for each in samples
        if each.labels == labels and not each.name.endswith("created")
    }


# ── orders, fills, differences, decisions ────────────────────────────────────────────────────────


def test_an_order_counts_once_in_each_status_that_it_reaches() -> None:
    tally, decision = tally_of(), intent()
    order = order_for(decision)
    opened = accepted(order)
    partly = replace(opened, order=replace(opened.order, filled=order.request.size / 2))
    done = with_status(order, OrderStatus.FILLED)
    note(tally, recorded(decision), opened, partly, filled(order), done, done)
    assert {status.value: count for status, count in tally.orders.items() if count} == {
        "sent": 1,
        "open": 1,
        "filled": 1,
    }
    assert tally.fills == {**{via.value: 0 for via in MatchedVia}, "cloid": 1}


def test_rejections_count_by_the_venues_reason_and_never_by_its_words() -> None:
    tally = tally_of()
    first, second = order_for(intent()), order_for(intent(), 2)
    note(
        tally,
        with_status(first, OrderStatus.REJECTED, "insufficient_margin: not enough of it: 12.5"),
        with_status(second, OrderStatus.REJECTED, "made up by somebody: 7"),
    )
    assert {reason: count for reason, count in tally.rejections.items() if count} == {
        "insufficient_margin": 1,
        "other": 1,
    }
    assert set(tally.rejections) == {reason.value for reason in RejectReason}


def test_what_is_remembered_of_orders_is_bounded() -> None:
    tally, order = tally_of(), order_for(intent())
    many = ORDERS_REMEMBERED + 50
    for number in range(many):
        request = replace(order.request, cloid=f"0x{number:032x}")
        note(tally, with_status(replace(order, request=request), OrderStatus.CANCELED))
    assert tally.orders[OrderStatus.CANCELED] == many
    assert len(tally._statuses) == ORDERS_REMEMBERED


def test_differences_are_those_of_earlier_sessions_and_ours_until_they_close() -> None:
    tally = tally_of(("cash::", "cash", "", T0 - 1_000))
    note(tally, DIFFERENCE)
    assert sorted(tally.differences.values()) == [("cash", T0 - 1_000), ("position", T0)]
    note(
        tally,
        DifferenceClosed("cash::", "they agree again", NOW_MS),
        DifferenceClosed(DIFFERENCE.key, "so too", NOW_MS),
    )
    assert tally.differences == {}


def test_a_decisions_latency_counts_from_its_candles_end_in_the_venues_time() -> None:
    tally = tally_of()
    note(tally, decisions(), replace(decisions(), batch_no=3))
    assert observed(tally.decision_latency, batch="first") == {"count": 1, "sum": 2.5}
    assert observed(tally.decision_latency, batch="straggler") == {"count": 1, "sum": 2.5}


# ── health ───────────────────────────────────────────────────────────────────────────────────────


class HeldWriter(Executor):
    """A disk that answers when a test lets it."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, act: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append((future, lambda: act(*args, **kwargs)))
        return future

    def release(self) -> None:
        for future, act in self.held:
            future.set_result(act())
        self.held.clear()


class Bench:
    def __init__(self) -> None:
        self.clock, self.writer = ManualClock(T0), HeldWriter()
        nobody = cast(Any, None)
        self.committer = TimedCommitter(
            MemoryLedger(), cast(DecisionLog, nobody), cast(CandleStore, nobody), self.clock, self.writer
        )
        self.health = Health(self.clock, self.committer)


async def test_it_is_ill_until_recovery_is_over_and_whenever_the_loop_stands_still() -> None:
    bench = Bench()
    (problem,) = bench.health.problems()
    assert "recovery is not over" in problem
    bench.health.turned()
    await bench.clock.advance_to(T0 + PATIENCE_MS)
    assert bench.health.problems() == []
    await bench.clock.advance_to(T0 + PATIENCE_MS + 1_000)
    assert bench.health.problems() == ["the engine's loop has not come round for 31 s"]
    bench.health.turned()
    assert bench.health.problems() == []


async def test_a_disk_that_does_not_answer_is_named_and_its_time_is_counted() -> None:
    bench = Bench()
    commit = asyncio.create_task(bench.committer.commit([DIFFERENCE]))
    await asyncio.sleep(0)
    await bench.clock.advance_to(T0 + PATIENCE_MS + 5_000)
    bench.health.turned()
    assert bench.health.problems() == ["a commit to the ledger has not returned for 35 s"]
    bench.writer.release()
    await commit
    assert bench.health.problems() == []
    assert bench.committer.waiting_ms == 0
    assert observed(bench.committer.seconds) == {"count": 1, "sum": 35.0}
    await bench.committer.commit([])
    assert observed(bench.committer.seconds)["count"] == 1, "nothing to write is no commit"


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9109", "localhost:80", "LOCALHOST", "[::1]", "[::1]:9109"])
def test_a_host_that_names_this_machine_is_answered(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host",
    ["", ":9109", "evil.example", "evil.example:9109", "127.0.0.1.evil.example", "localhost:80:80", "[::1].evil"],
)
def test_a_name_that_was_bound_to_this_machine_is_not(host: str) -> None:
    assert not is_this_machine(host)
