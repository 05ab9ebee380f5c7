"""Reads over real sockets from a venue that misbehaves: the REST faults of the catalogue (F01 to F22) that reads meet.

What concerns orders (F03, F09 to F13) is the gateway's, what concerns paging and stale snapshots (F18 to F20) the
account's, what concerns keys (F14 to F16) the start's; F21 is about posts over WebSockets. The venue's time runs 60
times as fast: its minute, and with it the minute of the budget, is a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from adapters.clocks import ScaledClock
from adapters.hyperliquid.budget import PER_MINUTE, AddressBudget, Lane, Purpose, WeightBudget
from adapters.hyperliquid.history import HyperliquidHistory
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.rest import ATTEMPTS, InfoClient
from adapters.hyperliquid.transport import BrokenError, NotSentError
from adapters.hyperliquid.universe import read_universe
from adapters.hyperliquid.wire_account import decode_rate_limit
from domain.candles import Interval
from ports.candle_history import HistoryUnavailable
from ports.order_gateway import VenueUnavailable
from tests.venue_process import venue as running_venue

pytestmark = pytest.mark.xdist_group("hyperliquid_rest_faults")

SCALE = 60
TIMEOUT_S = 0.5
META: dict[str, object] = {"type": "meta"}
MIDS: dict[str, object] = {"type": "allMids"}
Ready = dict[str, Any]


class Control:
    """The venue's control port. It is not asked from within the event loop's time: it answers in a millisecond."""

    def __init__(self, ready: Ready) -> None:
        self._url = ready["control_url"]

    def fault(self, name: str, match: object = None, when: object = None, **parameters: object) -> None:
        rule: dict[str, object] = {"fault": name, "match": match or {"path": "/info"}, "with": parameters}
        if when is not None:
            rule["when"] = when
        answer = requests.post(f"{self._url}/faults", json=rule, timeout=5)
        assert answer.ok, answer.text

    def calm(self) -> None:
        requests.delete(f"{self._url}/faults", timeout=5).raise_for_status()

    def rows(self, kind: str) -> list[dict[str, Any]]:
        text = requests.get(f"{self._url}/log", params={"kind": kind}, timeout=5).text
        return [json.loads(line) for line in text.splitlines()]

    def arrived(self, mark: str) -> int:
        """How many requests reached the venue that bear this mark."""
        return sum(row["body"].get("mark") == mark for row in self.rows("request") if isinstance(row["body"], dict))


@dataclass
class Client:
    http: RequestsTransport
    budget: WeightBudget
    info: InfoClient
    clock: ScaledClock


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    options = ("--symbols", "3", "--seed", "7", "--accounts", "1", "--scale", str(SCALE))
    with running_venue(tmp_path_factory.mktemp("rest"), *options) as (_, ready):
        ready["clock"] = ScaledClock(ready["time"], time.time_ns() // 1_000_000, SCALE)
        yield ready


@pytest.fixture
def control(venue: Ready) -> Iterator[Control]:
    made = Control(venue)
    yield made
    made.calm()


@pytest.fixture
async def client(venue: Ready) -> AsyncIterator[Client]:
    async with connected(venue["url"], venue["clock"]) as made:
        yield made


@contextlib.asynccontextmanager
async def connected(url: str, clock: ScaledClock, workers: int = 5) -> AsyncIterator[Client]:
    http = RequestsTransport(url, connect_s=0.3, workers=workers)
    budget = WeightBudget(clock)
    info = InfoClient(http, budget, clock, TIMEOUT_S, deadline_s=2.5, pause_s=0.02, chance=random.Random(1))
    try:
        yield Client(http, budget, info, clock)
    finally:
        await http.close()


def body(mark: str) -> bytes:
    return json.dumps({**META, "mark": mark}).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_without_faults_everything_is_read(client: Client, venue: Ready) -> None:
    markets = await read_universe(client.info)
    assert list(markets.universe.symbols) == venue["symbols"]
    assert sorted(markets.asset_of.values()) == [0, 1, 2]
    assert markets.problems == ()


# ── F01, F02: no answer ──────────────────────────────────────────────────────────────────────────


async def test_f01_an_answer_that_never_comes_is_broken_and_the_next_attempt_gets_it(
    client: Client, control: Control
) -> None:
    control.fault("lose_reply", when={"times": 2}, hang=True)
    with pytest.raises(BrokenError, match="no answer within"):
        await client.http.post("/info", body("f01"), TIMEOUT_S)
    assert control.arrived("f01") == 1
    assert json.loads(await client.info.ask(META))


async def test_f02_a_request_that_never_arrives_looks_the_same(client: Client, control: Control) -> None:
    control.fault("drop_request", when={"times": 2}, hang=True)
    with pytest.raises(BrokenError, match="no answer within"):
        await client.http.post("/info", body("f02"), TIMEOUT_S)
    assert json.loads(await client.info.ask(META))


async def test_f02_a_venue_that_stays_silent_is_given_up_in_time(client: Client, control: Control) -> None:
    control.fault("drop_request", hang=True)
    started_s = time.monotonic()
    with pytest.raises(VenueUnavailable, match=r"meta: no answer within"):
        await client.info.ask(META)
    assert time.monotonic() - started_s < 3.0
    control.calm()
    assert json.loads(await client.info.ask(META)), "its threads are free again"


async def test_f02_a_port_where_nobody_listens_has_got_nothing(venue: Ready) -> None:
    async with connected(f"http://127.0.0.1:{free_port()}", venue["clock"]) as client:
        with pytest.raises(NotSentError, match="refused"):
            await client.http.post("/info", body("refused"), TIMEOUT_S)
        with pytest.raises(VenueUnavailable, match="refused"):
            await client.info.ask(META)


# ── F04: connections die ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent_bytes", [0, 1, 40])
async def test_f04_a_kept_connection_that_dies_with_the_answer_is_broken_and_nothing_is_sent_twice(
    client: Client, control: Control, sent_bytes: int
) -> None:
    await client.http.post("/info", body("warm"), TIMEOUT_S)
    control.fault("lose_reply", when={"times": 1}, sent_bytes=sent_bytes)
    with pytest.raises(BrokenError):
        await client.http.post("/info", body(f"f04-{sent_bytes}"), TIMEOUT_S)
    assert control.arrived(f"f04-{sent_bytes}") == 1


async def test_f04_reads_survive_a_connection_that_dies_once_without_waiting(venue: Ready, control: Control) -> None:
    async with connected(venue["url"], venue["clock"]) as client:
        patient = InfoClient(client.http, client.budget, client.clock, TIMEOUT_S, pause_s=30.0)
        for fault in ("lose_reply", "drop_request"):
            control.fault(fault, when={"times": 1})
            assert json.loads(await patient.ask(META))


async def test_f04_connections_that_keep_dying_are_given_up(client: Client, control: Control) -> None:
    control.fault("drop_request")
    with pytest.raises(VenueUnavailable, match="meta: "):
        await client.info.ask({**META, "mark": "f04-always"})


# ── F05, F06: limits ─────────────────────────────────────────────────────────────────────────────


async def test_f05_after_a_429_everything_waits_and_then_the_answer_comes(client: Client, control: Control) -> None:
    control.fault("refuse", when={"times": 1}, status=429)
    started_ms = client.clock.now_ms()
    assert json.loads(await client.info.ask(META))
    assert client.clock.now_ms() - started_ms >= 10_000


async def test_f05_the_venues_own_limit_is_never_met(client: Client, control: Control) -> None:
    """Two and a half minutes' worth of questions at once: the venue counts them by its own clock."""
    refused = len([row for row in control.rows("answer") if row.get("status") == 429])
    questions = [client.info.ask(META, lane=Lane.BULK) for _ in range(int(2.5 * PER_MINUTE) // 20)]
    answers = await asyncio.gather(*questions)
    assert all(json.loads(answer) for answer in answers)
    assert len([row for row in control.rows("answer") if row.get("status") == 429]) == refused


async def test_f05_a_cancel_passes_reads_that_wait(client: Client) -> None:
    reads = [asyncio.create_task(client.budget.take(20)) for _ in range(40)]
    await asyncio.sleep(0.01)
    assert client.budget.waiting > 0
    started_s = time.monotonic()
    await client.budget.take(1, Lane.EMERGENCY)
    assert time.monotonic() - started_s < 0.1
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


async def test_f06_what_the_address_has_left_is_read(client: Client, venue: Ready) -> None:
    told = decode_rate_limit(
        await client.info.ask({"type": "userRateLimit", "user": venue["accounts"][0]["address"]}, lane=Lane.ACCOUNT)
    )
    budget = AddressBudget()
    budget.told(told.used, told.cap, told.surplus)
    assert budget.left == 10_000
    budget.spend(9_900, client.clock.now_ms())
    now_ms = client.clock.now_ms()
    assert budget.refusal(Purpose.ENTRY, 1, now_ms) is not None
    assert budget.refusal(Purpose.EXIT, 1, now_ms) is None


# ── F07, F08: answers that are none ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "form"), [(500, "null"), (502, "html"), (503, "empty"), (504, "text")])
async def test_f07_trouble_at_the_edge_is_got_over_once_and_named_when_it_stays(
    client: Client, control: Control, status: int, form: str
) -> None:
    control.fault("refuse", when={"times": 1}, status=status, body=form)
    assert json.loads(await client.info.ask(META))
    control.fault("replace_answer", status=status, body=form)
    with pytest.raises(VenueUnavailable, match=rf"^meta: HTTP {status}: ") as raised:
        await client.info.ask(META)
    assert len(str(raised.value)) < 140
    assert "<" not in str(raised.value)


@pytest.mark.parametrize("form", ["html", "empty", "text"])
async def test_f08_a_200_that_is_no_json_is_no_answer(client: Client, control: Control, form: str) -> None:
    control.fault("replace_answer", when={"times": ATTEMPTS}, status=200, body=form)
    with pytest.raises(VenueUnavailable, match="meta: the answer is not JSON"):
        await client.info.ask(META)
    assert json.loads(await client.info.ask(META))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
async def test_f08_a_200_that_is_cut_short_is_no_answer(client: Client, control: Control, keep: float) -> None:
    control.fault("truncate", keep=keep)
    with pytest.raises(VenueUnavailable, match="not JSON"):
        await client.info.ask(META)


@pytest.mark.parametrize("form", ["null", "err"])
async def test_f08_a_200_that_says_something_else_is_no_universe_and_no_history(
    client: Client, control: Control, form: str
) -> None:
    markets = await read_universe(client.info)
    control.fault("replace_answer", status=200, body=form, text="Too many requests")
    with pytest.raises(VenueUnavailable, match="meta"):
        await read_universe(client.info)
    history = HyperliquidHistory(client.info, markets.universe, client.clock)
    now_ms = client.clock.now_ms()
    with pytest.raises(HistoryUnavailable):
        await history.candles(markets.universe.symbols[0], Interval.M1, now_ms - 600_000, now_ms)


async def test_f08_numbers_that_come_bare_make_no_wrong_candle(client: Client, control: Control) -> None:
    markets = await read_universe(client.info)
    history = HyperliquidHistory(client.info, markets.universe, client.clock)
    end_ms = client.clock.now_ms() - 120_000
    plain = await history.candles("BTC", Interval.M1, end_ms - 600_000, end_ms)
    control.fault("bare_numbers")
    with contextlib.suppress(HistoryUnavailable):
        bare = await history.candles("BTC", Interval.M1, end_ms - 600_000, end_ms)
        assert bare.close.tolist() == plain.close.tolist()


async def test_a_question_that_the_venue_refuses_is_not_repeated(client: Client, control: Control) -> None:
    with pytest.raises(VenueUnavailable, match="unheardOf: HTTP 422"):
        await client.info.ask({"type": "unheardOf", "mark": "f-422"})
    assert control.arrived("f-422") == 1


# ── late answers, halves of the venue ────────────────────────────────────────────────────────────


async def test_a_slow_answer_is_waited_for(client: Client, control: Control) -> None:
    control.fault("delay_answer", ms=200 * SCALE)
    assert json.loads(await client.info.ask(META))


async def test_f21_an_answer_that_comes_too_late_answers_nothing_else(venue: Ready, control: Control) -> None:
    async with connected(venue["url"], venue["clock"], workers=3) as client:
        control.fault("delay_answer", match={"request_type": "meta"}, ms=300 * SCALE)
        for _ in range(4):
            with pytest.raises(BrokenError):
                await client.http.post("/info", body("late"), 0.1)
            answer = await client.http.post("/info", json.dumps(MIDS).encode(), TIMEOUT_S)
            assert "BTC" in json.loads(answer.body)


async def test_f17_info_may_fail_while_exchange_answers_and_the_reverse(client: Client, control: Control) -> None:
    control.fault("refuse", status=503)
    with pytest.raises(VenueUnavailable, match="503"):
        await client.info.ask(META)
    assert (await client.http.post("/exchange", b"{}", TIMEOUT_S)).status == 422
    control.calm()
    control.fault("drop_request", match={"path": "/exchange"})
    with pytest.raises(BrokenError):
        await client.http.post("/exchange", b"{}", TIMEOUT_S)
    assert json.loads(await client.info.ask(META))


async def test_f22_what_waited_too_long_behind_a_silent_venue_is_never_sent(venue: Ready, control: Control) -> None:
    async with connected(venue["url"], venue["clock"], workers=3) as client:
        control.fault("drop_request", match={"request_type": "meta"}, hang=True)
        first = asyncio.create_task(client.http.post("/info", body("first"), TIMEOUT_S))
        await asyncio.sleep(0.1)
        control.calm()
        with pytest.raises(NotSentError):
            await client.http.post("/info", body("f22"), 0.1)
        with pytest.raises(BrokenError):
            await first
        await client.http.post("/info", body("f22 later"), TIMEOUT_S)
    assert (control.arrived("f22"), control.arrived("f22 later")) == (0, 1)


# ── candles of a market that runs ────────────────────────────────────────────────────────────────


async def test_candles_are_closed_whole_and_final(client: Client) -> None:
    markets = await read_universe(client.info, ["BTC"])
    history = HyperliquidHistory(client.info, markets.universe, client.clock)
    start_ms = Interval.M1.open_of(client.clock.now_ms()) - 30 * 60_000
    window = await history.candles("BTC", Interval.M1, start_ms, client.clock.now_ms() + 3_600_000)
    assert int(window.open_ms[-1]) + 60_000 <= client.clock.now_ms()
    assert window.open_ms.tolist() == list(range(start_ms, start_ms + len(window) * 60_000, 60_000))
    assert len(window) >= 30
    await client.clock.sleep_until(client.clock.now_ms() + 60_000)
    again = await history.candles("BTC", Interval.M1, start_ms, int(window.open_ms[-1]) + 60_000)
    for column in ("open_ms", "open", "high", "low", "close", "volume"):
        assert getattr(again, column).tolist() == getattr(window, column).tolist(), column


async def test_history_beyond_what_the_venue_keeps_and_of_nobody(client: Client) -> None:
    markets = await read_universe(client.info, ["BTC"])
    history = HyperliquidHistory(client.info, markets.universe, client.clock)
    now_ms = client.clock.now_ms()
    with pytest.raises(HistoryUnavailable, match="keeps 5000"):
        await history.candles("BTC", Interval.M1, now_ms - 5_001 * 60_000, now_ms)
    with pytest.raises(HistoryUnavailable, match="no market 'ETH'"):
        await history.candles("ETH", Interval.M1, now_ms - 600_000, now_ms)
