"""What leaves together, in what order, under which conditions; and what the gateway makes of each way it can end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from adapters.hyperliquid.action_hash import action_hash
from adapters.hyperliquid.budget import EMERGENCY_PAUSE_MS, PER_MINUTE, RESERVE
from adapters.hyperliquid.gateway import RATE_PAUSE_MS
from adapters.hyperliquid.transport import BrokenError, HttpReply, NotSentError
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason, SubmitOutcome, Unknown
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_rigs import (
    NOW_MS,
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
    rig.transport.urgent.clear()
    await asyncio.gather(
        rig.gateway.submit(order_request(1)),
        rig.gateway.submit(order_request(5, time_in_force=TimeInForce.ALO)),
        rig.gateway.submit(exit_order(2)),
        rig.gateway.cancel("BTC", cloid(7)),
        rig.gateway.submit(order_request(3)),
        rig.gateway.submit(stop(4)),
        rig.gateway.cancel("ETH", cloid(8)),
    )
    assert rig.transport.kinds == ["cancelByCloid"] + 5 * ["order"]
    assert rig.transport.actions[0]["action"]["cancels"] == [
        {"asset": 0, "cloid": cloid(7)},
        {"asset": 4, "cloid": cloid(8)},
    ]
    assert rig.transport.cloids == [cloid(number) for number in (2, 4, 5, 1, 3)]
    assert rig.transport.urgent == [True, True, True, False, False, False], "entries do not hold up exits and cancels"


async def test_what_was_written_down_leaves_to_the_byte() -> None:
    rig = ToldRig()
    requests = [order_request(1), stop(2), order_request(3, time_in_force=TimeInForce.ALO, side=Side.SELL)]
    assert await outcomes_of(rig, requests) == 3 * [Accepted(100)]
    left = {sent["action"]["orders"][0]["c"]: sent for sent in rig.transport.actions}
    assert len(left) == len(rig.transport.actions)
    for request in requests:
        payload, sent = request.payload, left[request.cloid]
        assert payload is not None
        assert (sent["nonce"], sent["expiresAfter"]) == (payload.nonce, payload.expires_ms)
        assert json.dumps(sent["action"], separators=(",", ":")) == payload.action, "key by key, in their order"
        assert action_hash(sent["action"], sent["nonce"], None, sent["expiresAfter"]).hex() == payload.digest


async def test_an_order_that_was_not_written_down_is_a_bug_and_never_leaves() -> None:
    rig = ToldRig()
    with pytest.raises(AssertionError, match="written down"):
        await rig.gateway.submit(order_request(1, encoder=None))
    assert rig.transport.actions == []


async def test_each_order_gets_its_own_answer() -> None:
    rig = ToldRig()
    answers: dict[str, object] = {
        cloid(1): {"resting": {"oid": 5}},
        cloid(2): {"error": "Order has invalid size."},
        cloid(3): {"strange": 1},
    }
    rig.transport.exchange = lambda sent: ok(answers[sent["action"]["orders"][0]["c"]])
    outcomes = await outcomes_of(rig, [exit_order(1), exit_order(2), exit_order(3)])
    assert outcomes[:2] == [Accepted(5), Rejected(RejectReason.BAD_SIZE, "Order has invalid size.")]
    assert isinstance(outcomes[2], Unknown)


async def test_one_order_that_is_lost_says_nothing_of_the_others() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: (
        BrokenError("gone") if sent["action"]["orders"][0]["c"] == cloid(2) else accept_all(sent)
    )
    first, lost, last = await outcomes_of(rig, [exit_order(1), exit_order(2), exit_order(3)])
    assert (first, last) == (Accepted(100), Accepted(100)) and isinstance(lost, Unknown)


async def test_too_many_cancels_for_one_action_leave_in_several() -> None:
    rig = ToldRig()
    await asyncio.gather(*(rig.gateway.cancel("BTC", cloid(number)) for number in range(100)))
    assert [len(sent["action"]["cancels"]) for sent in rig.transport.actions] == [39, 39, 22]
    nonces = [sent["nonce"] for sent in rig.transport.actions]
    assert nonces == sorted(set(nonces)) and all(nonce % 2 == 1 for nonce in nonces), "none of them an attempt's"


async def test_a_window_collects_what_comes_within_it() -> None:
    rig = ToldRig(batch_window_ms=20)
    first = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(rig.gateway.cancel("BTC", cloid(2)))
    await asyncio.gather(first, second)
    assert rig.transport.kinds == ["cancelByCloid", "order"]


async def test_an_action_does_not_wait_for_the_answer_to_another() -> None:
    rig = ToldRig()
    told = rig.transport.post
    gate = asyncio.Event()

    async def slow(path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None) -> HttpReply:
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
    request = exit_order(1)
    outcome = await rig.gateway.submit(request)
    assert isinstance(outcome, Unknown) and request.payload is not None
    trace = f"(nonce {request.payload.nonce}, expires {NOW_MS + 10_000})"
    assert outcome.text.endswith(trace), "what may prove it later"
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
    assert rig.transport.cloids == [cloid(2)]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_who_gives_up_afterwards_changes_nothing_for_the_others() -> None:
    rig = ToldRig()
    gate = asyncio.Event()

    async def slow(path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None) -> HttpReply:
        await gate.wait()
        return accept_all(json.loads(body))

    vars(rig.transport)["post"] = slow
    gone = asyncio.create_task(rig.gateway.submit(exit_order(1)))
    stays = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await stays == Accepted(100)


async def test_a_bug_on_the_way_reaches_whose_order_it_was_and_no_other() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: (
        AssertionError("a bug") if sent["action"]["orders"][0]["c"] == cloid(1) else accept_all(sent)
    )
    broken, whole = await outcomes_of(rig, [exit_order(1), exit_order(2)])
    assert isinstance(broken, AssertionError) and whole == Accepted(100)


# ── how late it may land ─────────────────────────────────────────────────────────────────────────


async def test_an_order_leaves_until_it_expires_and_not_a_moment_later() -> None:
    rig = ToldRig()
    await rig.clock.advance_to(NOW_MS + 10_000)
    assert await rig.gateway.submit(exit_order(1)) == Accepted(100)
    await rig.clock.advance_to(NOW_MS + 10_001)
    late = await outcomes_of(rig, [exit_order(2), order_request(3), order_request(4, deadline_ms=NOW_MS + 500)])
    assert [str(outcome).partition(" ago")[0] for outcome in late] == [
        "it expired 1 ms",
        "it expired 1 ms",
        "it expired 9501 ms",
    ]
    assert all(isinstance(outcome, VenueUnavailable) for outcome in late), "the caller may count on it: nothing left"
    assert rig.transport.cloids == [cloid(1)]


async def test_an_entry_that_expired_while_it_waited_is_not_sent() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(9))  # leverage is known from here on
    await rig.budget.take(PER_MINUTE - RESERVE - rig.budget.used)
    late = asyncio.create_task(rig.gateway.submit(order_request(1, deadline_ms=NOW_MS + 500)))
    exits = asyncio.create_task(rig.gateway.submit(exit_order(2)))
    assert await exits == Accepted(100), "what is reserved for exits"
    assert not late.done()
    await rig.clock.advance_to(NOW_MS + 61_000)
    with pytest.raises(VenueUnavailable, match="expired"):
        await asyncio.wait_for(late, 5)
    assert rig.transport.cloids == [cloid(9), cloid(2)]


# ── burning a nonce ──────────────────────────────────────────────────────────────────────────────


async def test_a_nonce_is_burned_by_a_noop_of_its_own_ahead_of_everything_and_for_ever() -> None:
    rig = ToldRig()
    await rig.budget.take(PER_MINUTE - RESERVE)
    assert await rig.gateway.burn(NOW_MS - 4) is True, "what is reserved for emergencies"
    sent = rig.transport.actions[0]
    assert (sent["action"], sent["nonce"]) == ({"type": "noop"}, NOW_MS - 4)
    assert sent["expiresAfter"] is None, "one that lands late burns all the same"
    assert rig.transport.urgent == [True]


@pytest.mark.parametrize(
    ("answer", "burned"),
    [
        (err(f"Invalid nonce: duplicate nonce {NOW_MS}"), True),
        (err(f"Invalid nonce: nonce too low {NOW_MS} < {NOW_MS + 9}"), True),
        (err(f"Invalid nonce: nonce too high {NOW_MS} > {NOW_MS - 9}"), False),
        (err("User or API Wallet 0x00 does not exist."), False),
        (err(SPENT), False),
        (reply(b"null", 429), False),
        (reply({"status": "err", "response": "Invalid nonce: duplicate nonce 1"}, 500), False),
        (reply(b"<html>ok</html>"), False),
        (reply(b""), False),
        (ok("success"), False),
        (BrokenError("no answer within 10 s"), False),
    ],
)
async def test_a_nonce_is_burned_only_by_the_venue_s_word(answer: HttpReply | Exception, burned: bool) -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: answer
    assert await rig.gateway.burn(NOW_MS) is burned
    await rig.clock.advance_to(NOW_MS + 2_000)  # after a 429
    rig.transport.exchange = accept_all
    assert await rig.gateway.burn(NOW_MS) is True, "asking again is harmless"
    assert [sent["nonce"] for sent in rig.transport.actions] == [NOW_MS, NOW_MS]


async def test_a_burn_that_has_not_left_raises() -> None:
    rig = ToldRig()
    rig.transport.exchange = lambda sent: NotSentError("connection refused")
    with pytest.raises(VenueUnavailable, match="connection refused"):
        await rig.gateway.burn(NOW_MS)


async def test_after_a_429_entries_wait_and_what_cannot_wait_hardly_does() -> None:
    rig = ToldRig()
    await rig.gateway.submit(order_request(9))  # leverage is known from here on
    rig.transport.exchange = lambda sent: reply(b"null", 429)
    assert isinstance(await rig.gateway.submit(exit_order(1)), Unknown)
    rig.transport.exchange = accept_all
    entry = asyncio.create_task(rig.gateway.submit(order_request(2)))
    urgent = [
        asyncio.ensure_future(each)
        for each in (rig.gateway.submit(exit_order(3)), rig.gateway.cancel("BTC", cloid(4)), rig.gateway.burn(NOW_MS))
    ]
    await rig.clock.advance_to(NOW_MS + EMERGENCY_PAUSE_MS - 1)
    assert not any(each.done() for each in (entry, *urgent)), "the venue asked for a rest"
    await rig.clock.advance_to(NOW_MS + EMERGENCY_PAUSE_MS)
    await asyncio.wait_for(asyncio.gather(*urgent), 5)
    await rig.clock.advance_to(NOW_MS + RATE_PAUSE_MS - 1)
    assert not entry.done()
    await rig.clock.advance_to(NOW_MS + RATE_PAUSE_MS)
    assert await asyncio.wait_for(entry, 5) == Accepted(100)


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
    await rig.gateway.submit(order_request(2, at_ms=NOW_MS + 600_001))
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
    assert rig.transport.cloids == [cloid(2)]


async def test_an_exit_never_waits_for_leverage() -> None:
    rig = ToldRig()
    told = rig.transport.post
    gate = asyncio.Event()

    async def silent(
        path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
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
        with pytest.raises(VenueUnavailable, match="requests left"):
            await rig.gateway.submit(order_request(number, at_ms=NOW_MS + at_ms))
    assert asked == 1
    used = 10
    await rig.clock.advance_to(NOW_MS + 130_000)
    assert isinstance(await rig.gateway.submit(order_request(5, at_ms=NOW_MS + 130_000)), Accepted)


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
