"""The control port of a real venue: what it takes, what it refuses, and that nobody else gets in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from adapters.clocks import SystemClock
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.server.control import ControlPort
from adapters.sim.venue.server.server import VenueServer
from adapters.sim.venue.settings import Cadence, VenueSettings
from adapters.sim.venue.venue import Venue
from ports.clock import Clock

START_MS = 1_767_571_200_000
USER = "0x" + 39 * "0" + "a"


class Controlled:
    def __init__(self, venue: Venue, server: VenueServer, control: ControlPort) -> None:
        self.venue = venue
        self.server = server
        self.url = control.url
        self._session = requests.Session()
        self._session.trust_env = False

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return await asyncio.to_thread(
            self._session.request, method, self.url + path, data=data, headers=headers, timeout=20
        )

    async def told(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.ask(method, path, body)
        assert answer.ok, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = await self.ask(method, path, body)
        assert not answer.ok
        return answer.status_code, answer.json()["error"]

    def close(self) -> None:
        self._session.close()


@contextlib.asynccontextmanager
async def controlled(clock: Clock | None, start_ms: int) -> AsyncIterator[Controlled]:
    venue = Venue(GeneratedPath(7, 2, start_ms - 3_600_000), VenueSettings(Cadence(block=0)), start_ms, 7)
    venue.fund_account(USER, Decimal(1_000))
    server = VenueServer(venue, clock)
    control = ControlPort(venue, server)
    serving = asyncio.create_task(server.serve())
    controlling = asyncio.create_task(control.serve())
    found = Controlled(venue, server, control)
    try:
        yield found
    finally:
        found.close()
        controlling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await controlling
        server.stop()
        await asyncio.wait_for(serving, 10)


@pytest.fixture
async def stepped() -> AsyncIterator[Controlled]:
    async with controlled(None, START_MS) as found:
        yield found


async def test_the_state_tells_time_accounts_rules_and_traffic(stepped: Controlled) -> None:
    state = await stepped.told("GET", "/state")
    assert (state["time"], state["stepped"]) == (START_MS, True)
    account = state["accounts"][USER]
    assert (account["cash"], account["account_value"], account["positions"], account["open_orders"]) == (
        "1000.0",
        "1000.0",
        {},
        0,
    )
    assert state["rules"] == []
    assert state["traffic"]["requests"] == 0


async def test_time_moves_by_exactly_what_is_asked(stepped: Controlled) -> None:
    assert await stepped.told("POST", "/time", {"advance_ms": 1}) == {"time": START_MS + 1}
    assert await stepped.told("POST", "/time", {"advance_ms": 61_234}) == {"time": START_MS + 61_235}


@pytest.mark.parametrize("amount", [0, -1, 1.5, "5", True, None, 10**12])
async def test_time_moves_forward_by_whole_milliseconds_only(stepped: Controlled, amount: object) -> None:
    status, error = await stepped.refused("POST", "/time", {"advance_ms": amount})
    assert status == 400
    assert "advance_ms" in error


async def test_running_time_is_not_moved_by_hand() -> None:
    async with controlled(SystemClock(), SystemClock().now_ms()) as found:
        status, error = await found.refused("POST", "/time", {"advance_ms": 1})
        assert status == 409
        assert "--stepped" in error
        assert (await found.told("GET", "/state"))["stepped"] is False


async def test_rules_come_and_go_one_by_one_or_all(stepped: Controlled) -> None:
    refuse = {"fault": "refuse", "match": {"path": "/info"}, "with": {"status": 502, "body": "html"}}
    (first,) = (await stepped.told("POST", "/faults", refuse))["ids"]
    more = (await stepped.told("POST", "/faults", [refuse, {"fault": "no_pongs"}]))["ids"]
    assert [rule["id"] for rule in await stepped.told("GET", "/faults")] == [first, *more]
    answer = await asyncio.to_thread(requests.post, stepped.server.url + "/info", json={"type": "meta"}, timeout=10)
    assert answer.status_code == 502
    assert await stepped.told("DELETE", f"/faults/{first}") == {"removed": [first]}
    assert await stepped.told("DELETE", "/faults") == {"removed": more}
    assert await stepped.told("GET", "/faults") == []
    answer = await asyncio.to_thread(requests.post, stepped.server.url + "/info", json={"type": "meta"}, timeout=10)
    assert answer.status_code == 200


async def test_a_wrong_rule_is_explained_and_takes_the_others_with_it(stepped: Controlled) -> None:
    status, error = await stepped.refused("POST", "/faults", [{"fault": "no_pongs"}, {"fault": "lose_replies"}])
    assert status == 400
    assert "lose_replies" in error
    assert "lose_reply" in error
    assert await stepped.told("GET", "/faults") == []


async def test_a_rule_that_is_not_there_cannot_go(stepped: Controlled) -> None:
    assert (await stepped.refused("DELETE", "/faults/9"))[0] == 404
    assert (await stepped.refused("DELETE", "/faults/x"))[0] == 400


async def test_the_operator_acts_and_says_what_came_of_it(stepped: Controlled) -> None:
    await stepped.told("POST", "/operator/deposit", {"user": USER, "usd": "250.5"})
    state = await stepped.told("GET", "/state")
    assert state["accounts"][USER]["cash"] == "1250.5"


@pytest.mark.parametrize(
    ("act", "arguments", "status", "says"),
    [
        ("explode", {}, 404, "deposit"),
        ("deposit", {"user": USER}, 400, "usd"),
        ("deposit", {"user": USER, "usd": 1, "eur": 1}, 400, "eur"),
        ("deposit", [], 400, "object"),
        ("delist", None, 400, "coin"),
        ("delist", {"coin": "NOPE"}, 409, "NOPE"),
        ("withdraw", {"user": USER, "usd": "5000"}, 409, ""),
    ],
)
async def test_an_act_that_makes_no_sense_says_why(
    stepped: Controlled, act: str, arguments: object, status: int, says: str
) -> None:
    told = await stepped.refused("POST", f"/operator/{act}", arguments)
    assert told[0] == status, told
    assert says in told[1]


async def test_the_log_is_lines_from_where_one_asks(stepped: Controlled) -> None:
    for _ in range(3):
        await stepped.told("POST", "/operator/halt", {"ms": 0})
    lines = (await stepped.ask("GET", "/log")).text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    later = [json.loads(line) for line in (await stepped.ask("GET", f"/log?from={rows[-1]['n']}")).text.splitlines()]
    assert later == rows[-1:]
    acts = [json.loads(line) for line in (await stepped.ask("GET", "/log?kind=operator")).text.splitlines()]
    assert [row["act"] for row in acts] == ["halt"] * 3
    assert (await stepped.refused("GET", "/log?from=x"))[0] == 400
    assert (await stepped.refused("GET", "/log?since=1"))[0] == 400


async def test_what_is_not_there_and_what_is_not_json_say_so_in_json(stepped: Controlled) -> None:
    assert (await stepped.refused("GET", "/nothing"))[0] == 404
    assert (await stepped.refused("POST", "/state"))[0] == 405
    assert (await stepped.refused("POST", "/faults", b"{"))[0] == 400
    assert (await stepped.refused("POST", "/faults"))[0] == 400
    assert (await stepped.refused("POST", "/faults", b" " * 2_000_000))[0] == 413


async def test_web_pages_get_nothing(stepped: Controlled) -> None:
    for headers, status in (({"Host": "evil.example"}, 400), ({"Origin": "http://evil.example"}, 403)):
        answer = await stepped.ask("POST", "/operator/halt", {"ms": 60_000}, **headers)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers
    assert stepped.venue.chain.halted_until_ms <= START_MS
