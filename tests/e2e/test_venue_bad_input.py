"""Clients that ask for absurd things, over real sockets: each gets the documented answer, and the venue lives on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from tests.venue_process import VenueProcess, venue

pytestmark = pytest.mark.xdist_group("venue_bad_input")

UNFIT = "Failed to deserialize the JSON body into the target type"
Ready = dict[str, Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VenueProcess, Ready]]:
    with venue(tmp_path_factory.mktemp("venue"), "--symbols", "3") as (process, ready):
        yield process, ready
        assert process.end(signal.SIGTERM) == 0, process.err


@pytest.fixture
def url(running: tuple[VenueProcess, Ready]) -> Iterator[str]:
    """The venue answers before and after every test."""
    made = str(running[1]["url"])
    assert "BTC" in requests.post(made + "/info", json={"type": "allMids"}, timeout=10).json()
    yield made
    assert "BTC" in requests.post(made + "/info", json={"type": "allMids"}, timeout=10).json()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("", 400, "Failed to parse the request body as JSON"),
        ("{", 400, "Failed to parse the request body as JSON"),
        ('{"type": "allMids"} x', 400, "Failed to parse the request body as JSON"),
        (200_000 * "[", 400, "Failed to parse the request body as JSON"),
        ("null", 422, UNFIT),
        ("[]", 422, UNFIT),
        ('{"type": "nothing"}', 422, UNFIT),
        ('{"type": "openOrders", "user": "0x1"}', 422, UNFIT),
        ('{"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": "5"}}', 422, UNFIT),
        ('{"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 1e300}}', 422, UNFIT),
        ('{"type": "l2Book", "coin": "NOPE"}', 200, "null"),
        ('{"type": "fundingHistory", "coin": "NOPE", "startTime": 0}', 500, "null"),
    ],
)
def test_info_that_makes_no_sense(url: str, body: str, status: int, says: str) -> None:
    answer = requests.post(url + "/info", data=body, headers={"content-type": "application/json"}, timeout=10)
    assert (answer.status_code, answer.text) == (status, says)


def test_a_body_that_says_it_is_something_else(url: str) -> None:
    answer = requests.post(
        url + "/info", data='{"type": "allMids"}', headers={"content-type": "text/plain"}, timeout=10
    )
    assert answer.status_code == 415
    assert "application/json" in answer.text
    assert requests.get(url + "/info", timeout=10).status_code == 405
    assert requests.post(url + "/elsewhere", json={}, timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["/info", "/exchange"])
def test_ten_megabytes(url: str, path: str) -> None:
    body = json.dumps({"type": "allMids", "padding": "x" * 10_000_000})
    answer = requests.post(url + path, data=body, headers={"content-type": "application/json"}, timeout=30)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "change",
    [
        {"orders": "many"},
        {"orders": [{}]},
        {"orders": [None] * 50},
        {"size": "1e5"},
        {"size": "NaN"},
        {"size": "-1"},
        {"size": 1},
        {"size": 50_000 * "9"},
        {"asset": -1},
        {"asset": 2**70},
        {"tif": "gtc"},
        {"cloid": "0x12"},
        {"nonce": "soon"},
        {"nonce": -1},
        {"signature": {"r": "zz", "s": "0x1", "v": 27}},
    ],
    ids=str,
)
def test_actions_that_do_not_fit_are_422(url: str, change: dict[str, Any]) -> None:
    order = {
        "a": change.get("asset", 0),
        "b": True,
        "p": "50000",
        "s": change.get("size", "1"),
        "r": False,
        "t": {"limit": {"tif": change.get("tif", "Gtc")}},
        **({"c": change["cloid"]} if "cloid" in change else {}),
    }
    body = {
        "action": {"type": "order", "orders": change.get("orders", [order]), "grouping": "na"},
        "nonce": change.get("nonce", 1),
        "signature": change.get("signature", {"r": "0x1", "s": "0x1", "v": 27}),
    }
    answer = requests.post(url + "/exchange", json=body, timeout=10)
    assert (answer.status_code, answer.text) == (422, UNFIT)


def test_two_thousand_subscriptions(url: str, running: tuple[VenueProcess, Ready]) -> None:
    """What fits the limits is served, the rest is refused one by one, and the socket stays open."""
    intervals = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
    wanted: list[dict[str, Any]] = [{"type": "bbo", "coin": "BTC"}]
    wanted += [
        {"type": "candle", "coin": coin, "interval": each} for coin in ("BTC", "ETH", "SOL") for each in intervals
    ]
    wanted += [{"type": "userFills", "user": f"0x{number:040x}"} for number in range(2_000)]
    answers: list[dict[str, Any]] = []
    with connect(running[1]["ws_url"], max_size=None) as socket:
        for each in wanted[:1_990]:
            socket.send(json.dumps({"method": "subscribe", "subscription": each}))
        socket.send('{"method": "ping"}')
        while not answers or answers[-1]["channel"] != "pong":
            answers.append(json.loads(socket.recv(timeout=30)))
    acks = [each for each in answers if each["channel"] == "subscriptionResponse"]
    errors = {each["data"] for each in answers if each["channel"] == "error"}
    assert len(acks) == 34 + 15, "15 users and everything without one"
    assert errors == {"Cannot track more than 15 total users."}


def test_unknown_coins_end_the_socket_and_only_it(url: str, running: tuple[VenueProcess, Ready]) -> None:
    with connect(running[1]["ws_url"]) as bystander, connect(running[1]["ws_url"]) as victim:
        victim.send('{"method": "subscribe", "subscription": {"type": "bbo", "coin": "btc"}}')
        with pytest.raises(Exception, match="no close frame received or sent"):
            victim.recv(timeout=10)
        bystander.send('{"method": "ping"}')
        assert json.loads(bystander.recv(timeout=10)) == {"channel": "pong"}
