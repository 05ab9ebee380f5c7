"""Cancels in masses, and entries that were barred while they waited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.hyperliquid.budget import EXIT_RESERVE, PER_MINUTE, RESERVE, Lane
from adapters.hyperliquid.cancel_queue import CANCELS_PER_ACTION
from adapters.hyperliquid.gateway import CANCELS_UNDERWAY
from adapters.hyperliquid.http_pool import KEPT_FOR_URGENT
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError
from domain.intents import OrderRequest, Side
from domain.orders import Accepted, Unknown
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_rigs import NOW_MS, ToldRig, accept_all, cloid, err, ok, order_request, reply

LATE = "Order was never placed, already canceled, or filled. asset=0"
SPENT = "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46."
SHUT = "the kill latch is halt: an operator said so"


def way_out(number: int, at_ms: int = NOW_MS) -> OrderRequest:
    return order_request(number, side=Side.SELL, limit_price=Decimal(80_000), reduce_only=True, at_ms=at_ms)


def hold_answers(rig: ToldRig, held: Callable[[str], bool]) -> asyncio.Event:
    """Actions of these kinds are answered only once the event is set; they have arrived all the same."""
    told, gate = rig.transport.post, asyncio.Event()

    async def slow(path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None) -> HttpReply:
        answer = await told(path, body, timeout_s, urgent=urgent)
        if path == "/exchange" and held(json.loads(body)["action"]["type"]):
            await gate.wait()
        return answer

    vars(rig.transport)["post"] = slow
    return gate


def is_cancel(kind: str) -> bool:
    return kind.startswith("cancel")


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


# ── others' orders ───────────────────────────────────────────────────────────────────────────────


async def test_others_orders_leave_by_their_numbers_in_portions_after_our_own() -> None:
    rig = ToldRig()
    await asyncio.gather(
        *(rig.gateway.cancel_foreign("ETH", 1_000 + number) for number in range(CANCELS_PER_ACTION + 1)),
        rig.gateway.cancel("BTC", cloid(7)),
    )
    assert rig.transport.kinds == ["cancelByCloid", "cancel", "cancel"]
    assert [len(sent["action"]["cancels"]) for sent in rig.transport.actions] == [1, CANCELS_PER_ACTION, 1]
    assert rig.transport.actions[1]["action"]["cancels"][0] == {"a": 4, "o": 1_000}
    assert all(sent["expiresAfter"] is None for sent in rig.transport.actions)
    assert rig.transport.urgent == [True, True, True]


async def test_each_order_of_a_portion_gets_its_own_answer() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: ok("success", {"error": LATE}, {"error": "Cannot cancel."}, kind="cancel")
    done, late, refused = await asyncio.gather(
        *(rig.gateway.cancel_foreign("BTC", oid) for oid in (5, 6, 7)), return_exceptions=True
    )
    assert (done, late) == (None, None), "one that is not there has ended"
    assert isinstance(refused, VenueUnavailable) and "Cannot cancel" in str(refused)


@pytest.mark.parametrize(
    "answer",
    [
        *(reply(b"null", 502), BrokenError("gone"), NotSentError("no"), err("no"), ok(kind="cancel")),
        *(ok("success"), ok("success", "success", kind="cancel"), reply(b"<html>")),
    ],
)
async def test_a_cancel_without_a_clear_answer_raises_so_that_it_is_asked_again(answer: HttpReply | Exception) -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: answer
    with pytest.raises(VenueUnavailable, match="cancel of BTC 5"):
        await rig.gateway.cancel_foreign("BTC", 5)


# ── in masses ────────────────────────────────────────────────────────────────────────────────────


async def test_with_two_thousand_cancels_queued_an_exit_leaves_before_their_first_answer() -> None:
    rig = ToldRig()
    await rig.budget.take(PER_MINUTE - RESERVE)  # the minute is full of reads
    gate = hold_answers(rig, is_cancel)
    cancels = [asyncio.create_task(rig.gateway.cancel_foreign("BTC", oid)) for oid in range(2_000)]
    await turns()
    assert rig.transport.kinds == ["cancel"] * CANCELS_UNDERWAY
    assert CANCELS_UNDERWAY < KEPT_FOR_URGENT, "a thread is left for the exit"
    assert await asyncio.wait_for(rig.gateway.submit(way_out(1)), 5) == Accepted(100)
    assert rig.transport.kinds == ["cancel"] * CANCELS_UNDERWAY + ["order"]
    gate.set()
    await asyncio.gather(*cancels)
    assert rig.clock.now_ms() == NOW_MS, "2,000 fit into what a full minute leaves"
    portions = [sent["action"].get("cancels", ()) for sent in rig.transport.actions]
    assert [each["o"] for portion in portions for each in portion] == list(range(2_000))


async def test_more_cancels_than_a_minute_holds_leave_weight_for_exits() -> None:
    rig = ToldRig()
    await rig.budget.take(PER_MINUTE - RESERVE)
    count = (RESERVE + 20) * CANCELS_PER_ACTION
    cancels = [asyncio.create_task(rig.gateway.cancel_foreign("BTC", oid)) for oid in range(count)]
    for _ in range(20):
        await turns()
    assert len(rig.transport.actions) == RESERVE - EXIT_RESERVE
    for number in range(EXIT_RESERVE):
        assert await asyncio.wait_for(rig.gateway.submit(way_out(number)), 5) == Accepted(100)
    for _ in range(3):
        await rig.clock.advance_to(rig.clock.now_ms() + 60_000)
        await asyncio.sleep(0.05)
    await asyncio.wait_for(asyncio.gather(*cancels), 5)


async def test_our_own_cancel_overtakes_others_that_wait() -> None:
    rig = ToldRig()
    gate = hold_answers(rig, is_cancel)
    others = [asyncio.create_task(rig.gateway.cancel_foreign("BTC", oid)) for oid in range(500)]
    await turns()
    ours = asyncio.create_task(rig.gateway.cancel("BTC", cloid(7)))
    await turns()
    gate.set()
    await asyncio.gather(ours, *others)
    assert rig.transport.kinds[CANCELS_UNDERWAY] == "cancelByCloid"


async def test_a_cancel_that_its_caller_gave_up_while_it_waited_does_not_leave() -> None:
    rig = ToldRig()
    gate = hold_answers(rig, is_cancel)
    tasks = [asyncio.create_task(rig.gateway.cancel_foreign("BTC", oid)) for oid in range(3 * CANCELS_PER_ACTION)]
    await turns()
    tasks[-1].cancel()
    await turns()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(rig.transport.actions[-1]["action"]["cancels"]) == CANCELS_PER_ACTION - 1


async def test_closing_gives_up_what_waits() -> None:
    rig = ToldRig()
    hold_answers(rig, is_cancel)
    tasks = [asyncio.create_task(rig.gateway.cancel_foreign("BTC", oid)) for oid in range(200)]
    await turns()
    await rig.gateway.close()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert len(rig.transport.actions) == CANCELS_UNDERWAY


async def test_a_portion_that_is_lost_does_not_stop_the_next() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: (
        BrokenError("gone") if sent["action"]["cancels"][0]["o"] == 0 else accept_all(sent)
    )
    ends = await asyncio.gather(
        *(rig.gateway.cancel_foreign("BTC", oid) for oid in range(5 * CANCELS_PER_ACTION)), return_exceptions=True
    )
    assert [isinstance(end, VenueUnavailable) for end in ends].count(True) == CANCELS_PER_ACTION
    assert ends[CANCELS_PER_ACTION:] == [None] * (4 * CANCELS_PER_ACTION)


async def test_without_requests_left_cancels_and_exits_are_never_refused_by_our_own_budget() -> None:
    """The venue decides: it has a wider limit for cancels, and lets one request through in ten seconds."""
    rig = ToldRig()
    rig.address_budget.told(300_000, 10_000)  # far beyond what even cancels are granted
    await asyncio.gather(
        *(rig.gateway.cancel_foreign("BTC", oid) for oid in range(100)), rig.gateway.cancel("BTC", cloid(7))
    )
    assert await rig.gateway.submit(way_out(1)) == Accepted(100)
    rig.transport.exchange = lambda sent: err(SPENT)
    assert isinstance(await rig.gateway.submit(way_out(2)), Unknown)
    with pytest.raises(VenueUnavailable, match="Too many cumulative"):
        await rig.gateway.cancel_foreign("BTC", 5)
    rig.transport.exchange = accept_all
    await rig.gateway.cancel_foreign("BTC", 5)
    assert await rig.gateway.submit(way_out(3)) == Accepted(100)


# ── what may not leave any more ──────────────────────────────────────────────────────────────────


async def test_an_entry_that_waits_for_weight_when_the_latch_falls_never_leaves() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(9))  # leverage is known from here on
    await rig.budget.take(PER_MINUTE - RESERVE - rig.budget.used)
    entry = asyncio.create_task(rig.gateway.submit(order_request(1, at_ms=NOW_MS + 60_000)))
    await turns()
    rig.barred = SHUT
    await rig.clock.advance_to(NOW_MS + 60_000)
    with pytest.raises(VenueUnavailable, match="kill latch"):
        await asyncio.wait_for(entry, 5)
    assert rig.transport.cloids == [cloid(9)]
    assert await rig.gateway.submit(way_out(2, NOW_MS + 60_000)) == Accepted(100), "the way out is never barred"
    await rig.gateway.cancel("BTC", cloid(3))


async def test_an_entry_and_its_leverage_are_barred_up_to_their_first_byte_and_exits_never() -> None:
    rig = ToldRig()
    told, bars = rig.transport.post, []

    async def late(path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Any = None) -> HttpReply:
        rig.barred = SHUT  # while it waits for a connection
        if path == "/exchange":
            bars.append(bar is not None)
        return await told(path, body, timeout_s, urgent=urgent, bar=bar)

    await rig.gateway.submit(order_request(9))
    vars(rig.transport)["post"] = late
    for request in (order_request(1), order_request(2, leverage=Decimal(9))):
        rig.barred = ""
        with pytest.raises(VenueUnavailable, match="kill latch"):
            await rig.gateway.submit(request)
    assert await rig.gateway.submit(way_out(3)) == Accepted(100)
    await rig.gateway.cancel("BTC", cloid(4))
    assert await rig.gateway.burn(NOW_MS) is True
    assert await rig.gateway.schedule_cancel(NOW_MS + 30_000) is None
    assert bars == [True, True, False, False, False, False]
    assert rig.transport.cloids == [cloid(9), cloid(3)]


async def test_a_barred_entry_does_not_touch_the_leverage() -> None:
    rig = ToldRig()
    rig.barred = SHUT
    with pytest.raises(VenueUnavailable, match="kill latch"):
        await rig.gateway.submit(order_request(1, leverage=Decimal(9)))
    assert rig.transport.actions == [] and rig.transport.asked == []


async def test_a_change_of_leverage_that_waits_when_the_latch_falls_never_leaves() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(9))
    await rig.budget.take(PER_MINUTE - RESERVE - rig.budget.used)
    request = order_request(1, at_ms=NOW_MS + 60_000, leverage=Decimal(9))
    entry = asyncio.create_task(rig.gateway.submit(request))
    await turns()
    assert rig.budget.waiting == 1
    rig.barred = SHUT
    await rig.clock.advance_to(NOW_MS + 60_000)
    with pytest.raises(VenueUnavailable, match="kill latch"):
        await asyncio.wait_for(entry, 5)
    assert rig.transport.kinds == ["order"]
    rig.barred = ""
    rig.transport.exchange = accept_all
    again = order_request(2, at_ms=NOW_MS + 60_000, leverage=Decimal(9))
    assert await rig.gateway.submit(again) == Accepted(100)
    assert rig.transport.kinds == ["order", "updateLeverage", "order"], "it was never set, and is set now"


async def test_cancels_wait_behind_exits_for_weight() -> None:
    rig = ToldRig()
    await rig.budget.take(PER_MINUTE, Lane.EMERGENCY)
    cancel = asyncio.create_task(rig.gateway.cancel_foreign("BTC", 5))
    await turns()
    order = asyncio.create_task(rig.gateway.submit(way_out(1, at_ms=NOW_MS + 60_000)))
    await turns()
    await rig.clock.advance_to(NOW_MS + 60_000)
    await asyncio.wait_for(asyncio.gather(order, cancel), 5)
    assert rig.transport.kinds == ["order", "cancel"]
