"""What leaves together, in what order, under which conditions; and what the gateway makes of each way it can end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from adapters.hyperliquid.budget import PER_MINUTE, RESERVE
from adapters.hyperliquid.dry_gateway import DryGateway
from adapters.hyperliquid.encoder import OrderEncoder
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason, SubmitOutcome, Unknown, Would
from ports.order_gateway import OrderGateway, VenueUnavailable
from tests.daemon_process import ROOT
from tests.hyperliquid_rigs import (
    ASSET_OF,
    NOW_MS,
    UNIVERSE,
    USER,
    ToldRig,
    accept_all,
    cloid,
    err,
    leverage_answer,
    ok,
    order_request,
    reply,
)

SPENT = "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46."
LATE = "Order was never placed, already canceled, or filled. asset=0"


def exit_order(number: int, **changes: Any) -> OrderRequest:
    return order_request(number, side=Side.SELL, limit_price=Decimal(80_000), reduce_only=True, **changes)


def stop(number: int) -> OrderRequest:
    trigger = Trigger(TriggerKind.STOP_LOSS, Decimal(85_000))
    return exit_order(number, time_in_force=TimeInForce.GTC, trigger=trigger)


async def outcomes_of(rig: ToldRig, requests: Sequence[OrderRequest]) -> list[SubmitOutcome | BaseException]:
    return await asyncio.gather(*(rig.gateway.submit(request) for request in requests), return_exceptions=True)


# ── what leaves together ─────────────────────────────────────────────────────────────────────────


async def test_what_is_decided_together_leaves_class_by_class_cancels_and_exits_first() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(90))  # leverage is known from here on
    rig.transport.actions.clear()
    post_only = order_request(5, time_in_force=TimeInForce.ALO)
    await asyncio.gather(
        rig.gateway.submit(order_request(1)),
        rig.gateway.submit(post_only),
        rig.gateway.submit(exit_order(2)),
        rig.gateway.cancel("BTC", cloid(7)),
        rig.gateway.submit(order_request(3)),
        rig.gateway.submit(stop(4)),
        rig.gateway.cancel("ETH", cloid(8)),
    )
    assert rig.transport.kinds == ["cancelByCloid", "order", "order", "order"]
    assert rig.transport.actions[0]["action"]["cancels"] == [
        {"asset": 0, "cloid": cloid(7)},
        {"asset": 4, "cloid": cloid(8)},
    ]
    assert [rig.transport.cloids(place) for place in (1, 2, 3)] == [
        [cloid(2), cloid(4)],
        [cloid(5)],
        [cloid(1), cloid(3)],
    ]
    nonces = [sent["nonce"] for sent in rig.transport.actions]
    assert nonces == sorted(set(nonces)), "strictly increasing in the order of leaving"


async def test_each_order_of_an_action_gets_its_own_answer() -> None:
    rig = ToldRig()

    def answer(sent: dict[str, Any]) -> HttpReply:
        return ok({"resting": {"oid": 5}}, {"error": "Order has invalid size."}, {"strange": 1})

    rig.transport.exchange = answer
    outcomes = await outcomes_of(rig, [exit_order(1), exit_order(2), exit_order(3)])
    assert outcomes[:2] == [Accepted(5), Rejected(RejectReason.BAD_SIZE, "Order has invalid size.")]
    assert isinstance(outcomes[2], Unknown)
    assert len(rig.transport.actions) == 1


async def test_too_many_for_one_action_leave_in_several() -> None:
    rig = ToldRig()
    outcomes = await outcomes_of(rig, [exit_order(number) for number in range(100)])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert [len(sent["action"]["orders"]) for sent in rig.transport.actions] == [39, 39, 22]


async def test_a_window_collects_what_comes_within_it() -> None:
    rig = ToldRig(batch_window_ms=20)
    first = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    await asyncio.gather(first, second)
    assert [rig.transport.cloids(0)] == [[cloid(1), cloid(2)]]


async def test_an_action_does_not_wait_for_the_answer_to_another() -> None:
    rig = ToldRig()
    told = rig.transport.post
    gate = asyncio.Event()

    async def slow(path: str, body: bytes, timeout_s: float) -> HttpReply:
        answer = await told(path, body, timeout_s)
        if cloid(1).encode() in body:
            await gate.wait()
        return answer

    vars(rig.transport)["post"] = slow
    first = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    await asyncio.sleep(0.01)
    assert await rig.gateway.submit(exit_order(2)) == Accepted(100)
    assert not first.done()
    gate.set()
    assert await first == Accepted(100)


# ── how it can end ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer",
    [
        BrokenError("no answer within 10 s"),
        reply(b"null", 429),
        reply(b"<html>502</html>", 502),
        reply(b"<html>ok</html>"),
        reply(b""),
        err("Invalid nonce: duplicate nonce 1791399877207"),
        err("Action already expired"),
        err("User or API Wallet 0x00 does not exist."),
        err(SPENT),
    ],
)
async def test_what_may_have_arrived_is_unknown_once_sent_and_never_sent_again(answer: HttpReply | Exception) -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: answer
    outcomes = await outcomes_of(rig, [exit_order(1), exit_order(2)])
    for outcome in outcomes:
        assert isinstance(outcome, Unknown)
        assert outcome.text.endswith(f"(nonce {NOW_MS}, expires {NOW_MS + 10_000})"), "what may prove it later"
    assert len(rig.transport.actions) == 1


async def test_what_has_not_left_raises() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: NotSentError("connection refused")
    for outcome in await outcomes_of(rig, [exit_order(1), exit_order(2)]):
        assert isinstance(outcome, VenueUnavailable) and "connection refused" in str(outcome)


async def test_an_attempt_is_submitted_once() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: NotSentError("connection refused")
    with pytest.raises(VenueUnavailable):
        await rig.gateway.submit(exit_order(1))
    rig.transport.exchange = accept_all
    with pytest.raises(AssertionError, match="once"):
        await rig.gateway.submit(exit_order(1))
    assert len(rig.transport.actions) == 1


async def test_who_gives_up_before_it_left_takes_the_order_back_and_no_other() -> None:
    rig = ToldRig(batch_window_ms=10)
    gone = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    stays = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == Accepted(100)
    assert [rig.transport.cloids(0)] == [[cloid(2)]]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_who_gives_up_afterwards_changes_nothing_for_the_others() -> None:
    rig = ToldRig()
    gate = asyncio.Event()

    async def slow(path: str, body: bytes, timeout_s: float) -> HttpReply:
        await gate.wait()
        return accept_all(json.loads(body))

    vars(rig.transport)["post"] = slow
    gone = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    stays = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await stays == Accepted(101), "its own place in the answer"


async def test_a_bug_on_the_way_reaches_whose_order_it_was() -> None:
    rig = ToldRig()
    with pytest.raises(AssertionError, match="size"):
        await rig.gateway.submit(exit_order(1, size=Decimal("0.00001")))
    assert rig.transport.actions == []


# ── how late it may land ─────────────────────────────────────────────────────────────────────────


async def test_an_order_expires_and_no_later_than_its_deadline() -> None:
    rig = ToldRig(expires_after_ms=5_000)
    await outcomes_of(rig, [order_request(1, deadline_ms=NOW_MS + 2_000), order_request(2)])
    await outcomes_of(rig, [exit_order(3), order_request(4, deadline_ms=NOW_MS + 60_000)])
    by_cloids = {tuple(rig.transport.cloids(place)): rig.transport.actions[place]["expiresAfter"] for place in range(3)}
    assert by_cloids == {
        (cloid(1), cloid(2)): NOW_MS + 2_000,
        (cloid(3),): NOW_MS + 5_000,
        (cloid(4),): NOW_MS + 5_000,
    }


async def test_an_entry_whose_deadline_passed_while_it_waited_is_not_sent() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(9))  # leverage is known from here on
    rig.transport.actions.clear()
    await rig.budget.take(PER_MINUTE - RESERVE - rig.budget.used)
    late = asyncio.create_task(rig.gateway.submit(order_request(1, deadline_ms=NOW_MS + 500)))
    exits = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    assert await exits == Accepted(100), "what is reserved for exits"
    assert not late.done()
    await rig.clock.advance_to(NOW_MS + 61_000)
    with pytest.raises(VenueUnavailable, match="deadline"):
        await asyncio.wait_for(late, 5)
    assert [rig.transport.cloids(0)] == [[cloid(2)]]


# ── leverage ─────────────────────────────────────────────────────────────────────────────────────


async def test_leverage_is_set_only_where_it_differs_and_before_the_entry() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(1))  # the account has 3x
    await rig.gateway.submit(order_request(2, leverage=Decimal("5.9")))
    await rig.gateway.submit(order_request(3, leverage=Decimal(5)))
    assert rig.transport.kinds == ["order", "updateLeverage", "order", "order"]
    change = rig.transport.actions[1]
    assert change["action"] == {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 5}
    assert change["expiresAfter"] == NOW_MS + 10_000
    assert len(rig.transport.asked) == 1, "what was read is remembered"


async def test_leverage_keeps_the_margin_mode_that_the_coin_has() -> None:
    rig = ToldRig()
    rig.transport.info = lambda request: leverage_answer(request["coin"], 2, "isolated")
    await rig.gateway.submit(order_request(1))
    assert rig.transport.actions[0]["action"]["isCross"] is False


async def test_leverage_is_read_again_after_a_while() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(1))
    rig.transport.info = lambda request: leverage_answer(request["coin"], 20)  # changed elsewhere
    await rig.clock.advance_to(NOW_MS + 600_001)
    await rig.gateway.submit(order_request(2))
    assert rig.transport.kinds == ["order", "updateLeverage", "order"]


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"null", 500),
        reply(b"null"),
        reply(b"{}"),
        reply(leverage_answer("BTC").body.replace(b'"value": 3', b'"value": "3"')),
        leverage_answer("ETH"),
        reply(leverage_answer("BTC").body.replace(USER.encode(), b"0x" + b"cd" * 20)),
        BrokenError("gone"),
    ],
)
async def test_where_leverage_is_not_known_the_entry_is_not_sent_and_the_exit_is(answer: HttpReply | Exception) -> None:
    rig = ToldRig()
    rig.transport.info = lambda request: answer
    entry, way_out = await outcomes_of(rig, [order_request(1), exit_order(2, leverage=Decimal(1))])
    assert isinstance(entry, VenueUnavailable)
    assert way_out == Accepted(100)
    assert [rig.transport.cloids(0)] == [[cloid(2)]]


async def test_an_exit_never_waits_for_leverage() -> None:
    rig = ToldRig()
    told = rig.transport.post
    gate = asyncio.Event()

    async def silent(path: str, body: bytes, timeout_s: float) -> HttpReply:
        if path == "/info":
            await gate.wait()
        return await told(path, body, timeout_s)

    vars(rig.transport)["post"] = silent
    entry = asyncio.create_task(rig.gateway.submit(order_request(1)))
    assert await asyncio.wait_for(rig.gateway.submit(exit_order(2)), 5) == Accepted(100)
    assert rig.transport.kinds == ["order"]
    gate.set()
    await entry


@pytest.mark.parametrize("answer", [err("Invalid leverage value"), reply(b"null", 502), BrokenError("gone"), ok()])
async def test_where_leverage_cannot_be_set_the_entry_is_not_sent(answer: HttpReply | Exception) -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: answer if sent["action"]["type"] == "updateLeverage" else accept_all(sent)
    with pytest.raises(VenueUnavailable, match="9x"):
        await rig.gateway.submit(order_request(1, leverage=Decimal(9)))
    assert rig.transport.kinds == ["updateLeverage"]
    rig.transport.exchange = accept_all
    questions = len(rig.transport.asked)
    await rig.gateway.submit(order_request(2, leverage=Decimal(9)))
    assert rig.transport.kinds == ["updateLeverage", "updateLeverage", "order"]
    doubtful = not isinstance(answer, HttpReply) or b"Invalid leverage" not in answer.body
    assert (len(rig.transport.asked) > questions) is doubtful, "after an unclear answer it may be either: ask"


# ── the address's budget ─────────────────────────────────────────────────────────────────────────


async def test_when_the_address_has_no_requests_left_entries_are_refused_and_exits_go_on() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(8))
    rig.transport.exchange = lambda sent: err(SPENT)
    assert isinstance(await rig.gateway.submit(order_request(1)), Unknown)
    assert ("exchange_refused", f"order: {SPENT}") in rig.alerts.sent
    rig.transport.exchange = accept_all
    entry, way_out = await outcomes_of(rig, [order_request(2), exit_order(3)])
    assert isinstance(entry, VenueUnavailable) and "requests left" in str(entry)
    assert way_out == Accepted(100)
    await rig.gateway.cancel("BTC", cloid(77))


async def test_a_spent_budget_is_asked_about_again_after_a_while() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: err(SPENT)
    assert isinstance(await rig.gateway.submit(exit_order(1)), Unknown)
    rig.transport.exchange = accept_all
    used, asked = 99_999, 0

    def info(request: dict[str, Any]) -> HttpReply:
        nonlocal asked
        if request["type"] == "activeAssetData":
            return leverage_answer(request["coin"])
        asked += 1
        return reply({"cumVlm": "1.0", "nRequestsUsed": used, "nRequestsCap": 100_000, "nRequestsSurplus": 0})

    rig.transport.info = info
    for number, at_ms in ((2, 1), (3, 60_001), (4, 60_002)):
        await rig.clock.advance_to(NOW_MS + at_ms)
        with pytest.raises(VenueUnavailable):
            await rig.gateway.submit(order_request(number))
    assert asked == 1
    used = 10
    await rig.clock.advance_to(NOW_MS + 130_000)
    assert isinstance(await rig.gateway.submit(order_request(5)), Accepted)


# ── cancels ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [reply(b"null", 502), BrokenError("gone"), NotSentError("no"), err("no"), ok()])
async def test_a_cancel_that_may_not_have_got_through_raises_so_that_it_is_asked_again(
    answer: HttpReply | Exception,
) -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: answer
    with pytest.raises(VenueUnavailable):
        await rig.gateway.cancel("BTC", cloid(1))
    rig.transport.exchange = accept_all
    await rig.gateway.cancel("BTC", cloid(1))
    assert rig.transport.actions[0]["expiresAfter"] is None, "one that lands late is still wanted"


async def test_a_cancel_that_came_too_late_is_done() -> None:
    rig = ToldRig()
    await rig.gateway.submit(exit_order(1))
    rig.transport.exchange = lambda sent: ok({"error": LATE}, kind="cancel")
    await rig.gateway.cancel("BTC", cloid(1))
    await rig.gateway.cancel("BTC", cloid(99))


async def test_a_cancel_that_may_have_come_before_its_order_is_asked_again() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: BrokenError("gone")
    assert isinstance(await rig.gateway.submit(exit_order(1)), Unknown)
    rig.transport.exchange = lambda sent: ok({"error": LATE}, kind="cancel")
    with pytest.raises(VenueUnavailable):
        await rig.gateway.cancel("BTC", cloid(1))
    await rig.clock.advance_to(NOW_MS + 20_001)
    await rig.gateway.cancel("BTC", cloid(1))


# ── dry_live ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_dry_gateway_writes_the_action_and_sends_nothing() -> None:
    written: list[str] = []
    gateway: OrderGateway = DryGateway(OrderEncoder(UNIVERSE, ASSET_OF), written.append)
    assert await gateway.submit(order_request(1, deadline_ms=5)) == Would()
    await gateway.cancel("BTC", cloid(1))
    order, cancel = (json.loads(line) for line in written)
    assert order["would"] == OrderEncoder(UNIVERSE, ASSET_OF).order([order_request(1)])
    assert order["leverage"] == "3" and order["deadline_ms"] == 5
    assert cancel["would"] == {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": cloid(1)}]}


async def test_the_dry_gateway_refuses_what_would_not_fit() -> None:
    written: list[str] = []
    with pytest.raises(AssertionError):
        await DryGateway(OrderEncoder(UNIVERSE, ASSET_OF), written.append).submit(
            order_request(1, size=Decimal("0.00001"))
        )
    assert written == []


def test_the_dry_gateway_s_modules_cannot_send_or_sign() -> None:
    code = (
        "import sys, adapters.hyperliquid.dry_gateway, adapters.hyperliquid.encoder\n"
        "print('\\n'.join(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("adapters.")}
    assert ours == {"adapters.hyperliquid", "adapters.hyperliquid.dry_gateway", "adapters.hyperliquid.encoder"}
    senders = ("requests", "urllib3", "websockets", "http.client", "eth_account", "eth_keys", "coincurve", "Crypto")
    assert not {name for name in loaded if name in senders or name.partition(".")[0] in senders}
