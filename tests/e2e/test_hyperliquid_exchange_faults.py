"""The gateway against a real venue process that misbehaves on `/exchange`: every REST fault of the catalogue.

The venue's own log is the judge. Whatever happens, an order reaches it at most once; `Unknown` is said unless its own
word about the order stands in an answer with status ok; and what was said is true.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from hyperliquid.exchange import Exchange  # type: ignore[import-untyped]

from adapters.clocks import SystemClock
from adapters.hyperliquid.gateway import GatewaySettings, HyperliquidGateway
from adapters.hyperliquid.http_pool import KEPT_FOR_URGENT, WORKERS
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.signing import Signer
from domain.events import FillArrived, OrderOutcome
from domain.field_rules import SecretText
from domain.intents import OrderRequest, Side, TimeInForce, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason, SubmitOutcome, Unknown
from ports.order_gateway import VenueUnavailable
from tests.daemon_process import PATIENCE_S, ROOT
from tests.hyperliquid_rigs import CountedNonces, VenueControl, VenueRig, cloid, nonce_of, venue_rig
from tests.venue_process import venue

pytestmark = pytest.mark.xdist_group("hyperliquid_exchange_faults")

TIMEOUT_S = 0.5
SPENT = "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46."


class Numbers:
    """A number of its own for every order of this file: cloids never repeat at the venue."""

    last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


NUMBERS = Numbers()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueControl]:
    with venue(tmp_path_factory.mktemp("venue"), "--symbols", "3", "--no-limits", "--block", "20") as (
        process,
        ready,
    ):
        yield VenueControl(ready)
        assert process.end(signal.SIGTERM) == 0, process.err


@pytest.fixture
async def rig(control: VenueControl, tmp_path: Path) -> AsyncIterator[VenueRig]:
    """Short timeouts; at the end every order of this test has reached the venue at most once."""
    first = NUMBERS.last + 1
    async with venue_rig(control, tmp_path, timeout_s=TIMEOUT_S) as made:
        yield made
        control.no_faults()
        for act in ("halt", "post_only"):
            control.operate(act, ms=0)
        for number in range(first, NUMBERS.last + 1):
            name = cloid(number)
            assert control.requests_of(name) <= 1, f"order {number} was sent twice"
            assert len(control.orders(name)) <= 1, f"order {number} stands twice at the venue"


async def buy(rig: VenueRig, **changes: Any) -> OrderRequest:
    return await rig.request(NUMBERS.next(), **changes)


async def resting(rig: VenueRig, **changes: Any) -> OrderRequest:
    """A buy far below the market."""
    return await buy(rig, time_in_force=TimeInForce.GTC, away=-20, **changes)


async def sent(rig: VenueRig, request: OrderRequest) -> SubmitOutcome:
    """Submit with the leverage known already, so that the fault meets the order."""
    return await rig.gateway.submit(request)


def lived(control: VenueControl, request: OrderRequest) -> bool:
    return control.lived(request.cloid)


async def comes_to_live(control: VenueControl, request: OrderRequest) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not lived(control, request):
        assert time.monotonic() < deadline, "it never landed"
        await asyncio.sleep(0.05)


async def assert_unknown(rig: VenueRig, request: OrderRequest, *, lives: bool) -> Unknown:
    outcome = await sent(rig, request)
    assert isinstance(outcome, Unknown), outcome
    assert lived(rig.control, request) is lives
    return outcome


# ── without faults ───────────────────────────────────────────────────────────────────────────────


async def test_the_venue_s_word_about_each_order(rig: VenueRig) -> None:
    """F09, and each text of the venue with its reason."""
    bought = await sent(rig, await buy(rig))
    assert isinstance(bought, Accepted) and bought.filled > 0
    rests = await resting(rig)
    assert isinstance(await sent(rig, rests), Accepted)
    refusals = [
        (await buy(rig, away=-10), RejectReason.NO_IMMEDIATE_MATCH),
        (await buy(rig, time_in_force=TimeInForce.ALO, away=5), RejectReason.POST_ONLY_WOULD_MATCH),
        (await buy(rig, usd=1, symbol="ETH"), RejectReason.MIN_NOTIONAL),
        (await buy(rig, reduce_only=True), RejectReason.REDUCE_ONLY_WOULD_INCREASE),
        (await buy(rig, away=98), RejectReason.PRICE_OUTSIDE_BAND),
        (await buy(rig, usd=1_000_000, symbol="ETH"), RejectReason.INSUFFICIENT_MARGIN),
        (
            await buy(
                rig,
                side=Side.SELL,
                reduce_only=True,
                time_in_force=TimeInForce.GTC,
                trigger=(TriggerKind.STOP_LOSS, 5),
            ),
            RejectReason.BAD_TRIGGER,
        ),
    ]
    for request, reason in refusals:
        outcome = await sent(rig, request)
        assert isinstance(outcome, Rejected) and outcome.reason is reason, (outcome, reason)
        assert not lived(rig.control, request)
    await rig.gateway.cancel("BTC", rests.cloid)
    assert {row["status"] for row in rig.control.log("order") if row["cloid"] == rests.cloid} == {"open", "canceled"}


async def test_orders_of_one_turn_leave_each_by_itself_and_each_has_its_own_answer(rig: VenueRig) -> None:
    """F09: some of them succeed. Each nonce answers for one order."""
    good, poor, rests = await buy(rig), await buy(rig, away=-10), await resting(rig)
    await rig.gateway.submit(await buy(rig))
    before = len(rig.control.log("request"))
    outcomes = await asyncio.gather(*(rig.gateway.submit(each) for each in (good, poor, rests)))
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Accepted]
    assert len(rig.control.log("request")) == before + 3
    for request, outcome in zip((good, rests), (outcomes[0], outcomes[2]), strict=True):
        assert isinstance(outcome, Accepted) and rig.control.orders(request.cloid) == {outcome.oid}
    await rig.gateway.cancel("BTC", rests.cloid)


async def test_f22_entries_that_hang_do_not_hold_up_an_exit_a_cancel_or_a_burn(rig: VenueRig) -> None:
    held, rests = await buy(rig, symbol="ETH"), await resting(rig, symbol="ETH")
    for request in (held, rests, await buy(rig)):
        assert isinstance(await sent(rig, request), Accepted)
    entries = [await buy(rig) for _ in range(2 * WORKERS)]
    way_out = await buy(rig, symbol="ETH", side=Side.SELL, reduce_only=True)
    rig.control.fault("drop_request", match={"action": "order", "coin": "BTC"}, times=len(entries), hang=True)
    hanging = asyncio.gather(*(rig.gateway.submit(each) for each in entries), return_exceptions=True)
    await asyncio.sleep(0.2 * TIMEOUT_S)
    assert isinstance(await rig.gateway.submit(way_out), Accepted)
    await rig.gateway.cancel("ETH", rests.cloid)
    assert await rig.gateway.burn(nonce_of(entries[0])) is True
    assert not hanging.done()
    outcomes = await hanging
    left = [isinstance(outcome, Unknown) for outcome in outcomes]
    assert left.count(True) == WORKERS - KEPT_FOR_URGENT
    assert all(isinstance(each, Unknown | VenueUnavailable) for each in outcomes)
    assert [rig.control.requests_of(each.cloid) for each in entries] == [int(each) for each in left]


# ── the answer is lost ───────────────────────────────────────────────────────────────────────────


async def test_f01_a_timeout_after_the_venue_accepted(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("lose_reply", hang=True)
    await assert_unknown(rig, request, lives=True)
    events = await rig.account.recover([request.cloid], rig.control.now_ms() - 60_000)
    fills = [event.fill for event in events if isinstance(event, FillArrived) and event.fill.cloid == request.cloid]
    assert sum(fill.size for fill in fills) == request.size, "found by what it did"
    assert any(isinstance(event, OrderOutcome) and isinstance(event.outcome, Accepted) for event in events)


async def test_f02_a_timeout_of_what_the_venue_never_saw(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("drop_request", hang=True)
    await assert_unknown(rig, request, lives=False)
    events = await rig.account.recover([request.cloid], rig.control.now_ms() - 60_000)
    told = [event for event in events if getattr(event, "cloid", None) == request.cloid]
    assert told == [], "unknownOid is no end"


async def test_f04_a_connection_that_dies_after_the_venue_read_the_request(rig: VenueRig) -> None:
    assert isinstance(await sent(rig, await buy(rig)), Accepted), "the connection is warm"
    request = await buy(rig)
    rig.control.fault("lose_reply")
    await assert_unknown(rig, request, lives=True)


@pytest.mark.parametrize("sent_bytes", [1, 9, 40, 100])
async def test_f04_an_answer_that_breaks_off(rig: VenueRig, sent_bytes: int) -> None:
    request = await buy(rig)
    rig.control.fault("lose_reply", sent_bytes=sent_bytes)
    await assert_unknown(rig, request, lives=True)


async def test_f04_a_connection_that_dies_before_the_venue_handled_the_request(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("drop_request")
    await assert_unknown(rig, request, lives=False)


async def test_an_answer_later_than_the_timeout(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("delay_answer", ms=int(3_000 * TIMEOUT_S))
    await assert_unknown(rig, request, lives=True)


async def test_an_answer_within_the_timeout_however_slow(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("delay_answer", ms=int(500 * TIMEOUT_S))
    outcome = await sent(rig, request)
    assert isinstance(outcome, Accepted) and rig.control.orders(request.cloid) == {outcome.oid}


# ── an error that is none ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late_ms", [0, 400])
@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (500, "null", ""),
        (502, "html", ""),
        (429, "null", ""),
        (200, "err", "Order could not immediately match against any resting orders. asset=0"),
        (200, "err", "Internal error"),
        (200, "html", ""),
        (200, "empty", ""),
    ],
)
async def test_f03_an_error_for_an_order_that_lands_all_the_same(
    rig: VenueRig, late_ms: int, status: int, body: str, text: str
) -> None:
    """2025-07-29: errors came back, the orders were executed."""
    request = await buy(rig)
    rig.control.fault("execute_late", ms=late_ms, status=status, body=body, text=text)
    outcome = await sent(rig, request)
    assert isinstance(outcome, Unknown)
    await comes_to_live(rig.control, request)


@pytest.mark.parametrize("body", ["cut", "hang"])
async def test_f03_no_answer_to_an_order_that_lands_late(rig: VenueRig, body: str) -> None:
    request = await buy(rig)
    rig.control.fault("execute_late", ms=700, body=body)
    await assert_unknown(rig, request, lives=False)
    await comes_to_live(rig.control, request)


async def test_f05_over_the_limit_of_the_ip(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("refuse", status=429)
    await assert_unknown(rig, request, lives=False)


async def test_f06_the_address_has_no_requests_left(rig: VenueRig) -> None:
    """Entries are refused before exits are."""
    assert isinstance(await sent(rig, await buy(rig)), Accepted)
    request, entry = await buy(rig), await buy(rig)
    way_out = await buy(rig, side=Side.SELL, reduce_only=True)
    rig.control.fault("refuse", status=200, body="err", text=SPENT)
    await assert_unknown(rig, request, lives=False)
    with pytest.raises(VenueUnavailable, match="requests left"):
        await rig.gateway.submit(entry)
    assert rig.control.requests_of(entry.cloid) == 0
    assert isinstance(await rig.gateway.submit(way_out), Accepted)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("fault", ["refuse", "replace_answer"])
async def test_f07_a_server_error_whether_it_was_executed_or_not(rig: VenueRig, status: int, fault: str) -> None:
    request = await buy(rig)
    rig.control.fault(fault, status=status, body="html" if status == 502 else "null")
    await assert_unknown(rig, request, lives=fault == "replace_answer")


@pytest.mark.parametrize("body", ["null", "empty", "text", "html", "err"])
async def test_f08_a_200_that_says_nothing_about_the_order(rig: VenueRig, body: str) -> None:
    request = await buy(rig)
    rig.control.fault("replace_answer", status=200, body=body, text="nothing" if body == "err" else "")
    await assert_unknown(rig, request, lives=True)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.99])
async def test_f08_json_that_is_cut_as_if_it_were_all(rig: VenueRig, keep: float) -> None:
    request = await buy(rig)
    rig.control.fault("truncate", keep=keep)
    await assert_unknown(rig, request, lives=True)


async def test_f11_numbers_of_another_kind(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.fault("bare_numbers")
    await assert_unknown(rig, request, lives=True)


# ── nonce, expiry, signer ────────────────────────────────────────────────────────────────────────


def other_gateway(rig: VenueRig, signer: Signer) -> HyperliquidGateway:
    """Another process on the same account."""
    made: Any = rig.gateway
    settings = GatewaySettings(rig.control.user, timeout_s=TIMEOUT_S)
    parts = (made._encoder, made._budget, made._address_budget, rig.info, rig.clock, settings, rig.alerts)
    return HyperliquidGateway(rig.transport, signer, CountedNonces(), *parts)


def signer_of(key: str, *, is_mainnet: bool = False) -> Signer:
    return Signer(AgentKey(SecretText(key.removeprefix("0x")), "a test"), is_mainnet=is_mainnet)


async def test_f12_a_nonce_that_was_used_before(rig: VenueRig) -> None:
    first = await resting(rig)
    assert isinstance(await sent(rig, first), Accepted)
    again = await buy(rig, side=Side.SELL, reduce_only=True, nonce=nonce_of(first))
    outcome = await assert_unknown(rig, again, lives=False)
    assert "duplicate nonce" in outcome.text


@pytest.mark.parametrize(("off_ms", "says"), [(-3 * 86_400_000, "too low"), (2 * 86_400_000, "too high")])
async def test_f12_a_nonce_out_of_the_window(rig: VenueRig, off_ms: int, says: str) -> None:
    request = await buy(rig, side=Side.SELL, reduce_only=True, nonce=SystemClock().now_ms() + off_ms)
    outcome = await assert_unknown(rig, request, lives=False)
    assert says in outcome.text


async def test_f13_f16_a_signature_for_another_network(rig: VenueRig) -> None:
    """It recovers to a stranger; nothing is tried again, and the operator is told."""
    gateway = other_gateway(rig, signer_of(rig.control.key, is_mainnet=True))
    request = await buy(rig, side=Side.SELL, reduce_only=True)
    outcome = await gateway.submit(request)
    assert isinstance(outcome, Unknown) and "does not exist" in outcome.text
    assert not lived(rig.control, request)
    assert rig.alerts.sent[-1][0] == "exchange_refused" and "does not exist" in rig.alerts.sent[-1][1]
    assert await gateway.burn(nonce_of(request)) is False, "nor has it used up a nonce of ours"


async def test_f14_an_agent_that_was_removed(rig: VenueRig) -> None:
    master = Exchange(EthAccount.from_key(rig.control.key), rig.control.ready["url"], timeout=PATIENCE_S)
    answer, key = await asyncio.to_thread(master.approve_agent, "bot")
    assert answer["status"] == "ok"
    signer = signer_of(key)
    gateway = other_gateway(rig, signer)
    assert isinstance(await gateway.submit(await buy(rig)), Accepted), "it trades for its master"
    rig.control.operate("remove_agent", agent=signer.address)
    request = await buy(rig)
    outcome = await gateway.submit(request)
    assert isinstance(outcome, Unknown) and signer.address in outcome.text
    assert not lived(rig.control, request)
    assert key.removeprefix("0x") not in repr((outcome, gateway, signer, rig.alerts.sent))


async def test_an_action_that_has_expired_when_it_arrives(control: VenueControl, tmp_path: Path) -> None:
    class SlowClock(SystemClock):
        def now_ms(self) -> int:
            return super().now_ms() - 30_000

    async with venue_rig(control, tmp_path, SlowClock(), timeout_s=TIMEOUT_S) as rig:
        request = await buy(rig, side=Side.SELL, reduce_only=True)
        outcome = await assert_unknown(rig, request, lives=False)
        assert "expired" in outcome.text


async def test_a_deadline_that_has_passed_at_the_venue(rig: VenueRig) -> None:
    assert isinstance(await sent(rig, await buy(rig)), Accepted)
    rig.control.operate("halt", ms=1_000)
    request = await buy(rig, deadline_ms=rig.control.now_ms() + 300)
    await assert_unknown(rig, request, lives=False)
    rig.control.operate("halt", ms=0)
    await asyncio.sleep(0.3)
    assert not lived(rig.control, request), "expiresAfter is the deadline"


# ── the chain ────────────────────────────────────────────────────────────────────────────────────


async def test_a_halted_chain_executes_it_later(rig: VenueRig) -> None:
    request = await buy(rig)
    rig.control.operate("halt", ms=60_000)
    await assert_unknown(rig, request, lives=False)
    rig.control.operate("halt", ms=0)
    await comes_to_live(rig.control, request)


async def test_after_an_upgrade_only_post_only_orders_are_taken(rig: VenueRig) -> None:
    rig.control.operate("post_only", ms=60_000)
    request, patient = await buy(rig), await buy(rig, time_in_force=TimeInForce.ALO, away=-5)
    outcome = await sent(rig, request)
    assert isinstance(outcome, Rejected) and "post-only" in outcome.text and not outcome.reason.allows_another_attempt
    assert not lived(rig.control, request)
    assert isinstance(await sent(rig, patient), Accepted)
    await rig.gateway.cancel("BTC", patient.cloid)


# ── leverage and cancels ─────────────────────────────────────────────────────────────────────────


def leverage_changes(control: VenueControl) -> int:
    """How many reached the venue."""
    return sum('"updateLeverage"' in json.dumps(row) for row in control.log("request"))


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("lose_reply", {}),
        ("lose_reply", {"hang": True}),
        ("refuse", {"status": 429}),
        ("replace_answer", {"status": 200, "body": "err", "text": "Invalid leverage value"}),
        ("truncate", {}),
    ],
)
async def test_where_leverage_is_not_surely_set_the_entry_stays_here(
    rig: VenueRig, fault: str, parts: dict[str, Any]
) -> None:
    other = 3 if await rig.leverage() == 2 else 2  # what is set already is not set again
    request = await buy(rig, leverage=Decimal(other))
    changes = leverage_changes(rig.control)
    rig.control.fault(fault, match={"action": "updateLeverage"}, **parts)
    with pytest.raises(VenueUnavailable):
        await rig.gateway.submit(request)
    assert rig.control.requests_of(request.cloid) == 0
    assert leverage_changes(rig.control) == changes + 1, "the fault met it"


async def test_f17_leverage_that_cannot_be_read_keeps_entries_here_and_lets_exits_go(rig: VenueRig) -> None:
    assert isinstance(await sent(rig, await buy(rig, symbol="ETH")), Accepted)
    entry, way_out = await buy(rig), await buy(rig, symbol="ETH", side=Side.SELL, reduce_only=True)
    rig.control.fault("refuse", match={"request_type": "activeAssetData"}, times=50, status=500)
    outcomes = await asyncio.gather(rig.gateway.submit(entry), rig.gateway.submit(way_out), return_exceptions=True)
    assert isinstance(outcomes[0], VenueUnavailable)
    assert isinstance(outcomes[1], Accepted)
    assert rig.control.requests_of(entry.cloid) == 0


@pytest.mark.parametrize("fault", ["lose_reply", "drop_request", "refuse", "truncate"])
async def test_a_cancel_without_a_clear_answer_is_asked_again(rig: VenueRig, fault: str) -> None:
    request = await resting(rig)
    assert isinstance(await sent(rig, request), Accepted)
    rig.control.fault(fault, match={"action": "cancelByCloid"})
    with pytest.raises(VenueUnavailable):
        await rig.gateway.cancel("BTC", request.cloid)
    await rig.gateway.cancel("BTC", request.cloid)
    rows = [row["status"] for row in rig.control.log("order") if row["cloid"] == request.cloid]
    assert rows == ["open", "canceled"]


# ── the process dies ─────────────────────────────────────────────────────────────────────────────

CLIENT = """
import asyncio, sys
from pathlib import Path
from tests.hyperliquid_rigs import VenueControl, venue_rig
import json
ready = json.loads(sys.argv[1])
async def main():
    async with venue_rig(VenueControl(ready), Path(sys.argv[2])) as rig:
        request = await rig.request(int(sys.argv[3]))
        await rig.gateway._leverage.ensure("BTC", request.leverage, rig.gateway._set_leverage)
        print("ready", flush=True)
        sys.stdin.readline()
        print(await rig.gateway.submit(request), flush=True)
asyncio.run(main())
"""


def started_client(control: VenueControl, folder: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, json.dumps(control.ready), str(folder), str(number)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("parts", "lives"),
    [
        ({"point": "before", "handled": True}, True),
        ({"point": "before", "handled": False}, False),
        ({"point": "after"}, True),
    ],
)
async def test_killed_while_its_order_is_on_the_way(rig: VenueRig, tmp_path: Path, parts: Any, *, lives: bool) -> None:
    """The next process asks the venue instead of sending again."""
    number = NUMBERS.next()
    folder = tmp_path / "client"
    client = started_client(rig.control, folder, number)
    try:
        assert client.stdout is not None and client.stdin is not None
        assert client.stdout.readline() == "ready\n"
        rig.control.fault("kill", pid=client.pid, **parts)
        out, _ = await asyncio.to_thread(client.communicate, "go\n", PATIENCE_S)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == -signal.SIGKILL
    if parts["point"] == "before":
        assert out == "", "it died without an answer"
    await asyncio.sleep(0.2)
    request = await rig.request(number)
    assert lived(rig.control, request) is lives
    events = await rig.account.recover([request.cloid], rig.control.now_ms() - 60_000)
    fills = [event for event in events if isinstance(event, FillArrived) and event.fill.cloid == request.cloid]
    assert bool(fills) is lives


# ── everything at once ───────────────────────────────────────────────────────────────────────────


@pytest.mark.seeds(1, 2)
async def test_whatever_is_said_is_true_under_many_faults(rig: VenueRig, seed: int) -> None:
    """Accepted: the venue holds it under that oid. Rejected, not sent: it never lives. At most one order per cloid."""
    chance = random.Random(seed)
    faults: list[tuple[str, dict[str, Any]]] = [
        ("lose_reply", {}),
        ("drop_request", {}),
        ("refuse", {"status": 503}),
        ("execute_late", {"ms": 300, "status": 500}),
        ("replace_answer", {"status": 200, "body": "err", "text": "Insufficient margin to place order. asset=0"}),
        ("truncate", {"keep": 0.7}),
        ("delay_answer", {"ms": 100, "jitter_ms": 700}),
        ("bare_numbers", {}),
    ]
    told: list[tuple[OrderRequest, SubmitOutcome | BaseException]] = []
    for _ in range(12):
        for fault, parts in chance.sample(faults, 2):
            if chance.random() < 0.5:
                rig.control.fault(fault, **parts)
        batch = [
            await buy(
                rig,
                usd=chance.choice((5, 15, 30)),
                away=chance.choice((5, 5, -10)),
                symbol=chance.choice(("BTC", "ETH")),
                side=chance.choice((Side.BUY, Side.SELL)),
                reduce_only=chance.random() < 0.4,
            )
            for _ in range(chance.randint(1, 4))
        ]
        outcomes = await asyncio.gather(*(rig.gateway.submit(each) for each in batch), return_exceptions=True)
        told += zip(batch, outcomes, strict=True)
        rig.control.no_faults()
    await asyncio.sleep(0.6)
    kinds = set()
    for request, outcome in told:
        kinds.add(type(outcome))
        match outcome:
            case Accepted(oid=oid):
                assert rig.control.orders(request.cloid) == {oid} and lived(rig.control, request)
            case Rejected():
                assert not lived(rig.control, request)
            case Unknown():
                pass
            case _:
                raise AssertionError(outcome)
    assert kinds == {Accepted, Rejected, Unknown}
    assert set(rig.control.cloids().values()) == {1}
