"""Client frames as the local venue reads them, and the canonical form that it echoes."""

from __future__ import annotations

import json

import pytest

from adapters.sim.venue.streams.subscriptions import (
    Kind,
    Ping,
    PostRequest,
    Subscribe,
    Unsubscribe,
    read_request,
    read_subscription,
)

USER = "0xAbCdEf0000000000000000000000000000000001"
LOWER = USER.lower()


def canonical(**subscription: object) -> str:
    found = read_subscription(subscription)
    assert found is not None, "it can be read"
    return found.canonical


@pytest.mark.parametrize(
    ("asked", "echo"),
    [
        ({"coin": "BTC", "type": "bbo"}, '{"type":"bbo","coin":"BTC"}'),
        ({"type": "trades", "coin": "kPEPE", "more": 1}, '{"type":"trades","coin":"kPEPE"}'),
        (
            {"type": "l2Book", "coin": "SOL"},
            '{"type":"l2Book","coin":"SOL","nSigFigs":null,"mantissa":null,"fast":false}',
        ),
        (
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 2, "fast": True},
            '{"type":"l2Book","coin":"BTC","nSigFigs":5,"mantissa":2,"fast":true}',
        ),
        (
            {"type": "candle", "coin": "HYPE", "interval": "1d"},
            '{"type":"candle","interval":"1d","coin":"HYPE"}',
        ),
        ({"type": "allMids"}, '{"type":"allMids"}'),
        ({"type": "allMids", "dex": ""}, '{"type":"allMids"}'),
        ({"type": "orderUpdates", "user": USER}, f'{{"type":"orderUpdates","user":"{LOWER}"}}'),
        ({"type": "userFills", "user": USER}, f'{{"type":"userFills","user":"{LOWER}","aggregateByTime":false}}'),
        (
            {"type": "clearinghouseState", "user": USER, "dex": None},
            f'{{"type":"clearinghouseState","user":"{LOWER}","dex":""}}',
        ),
        ({"type": "openOrders", "user": USER}, f'{{"type":"openOrders","user":"{LOWER}","dex":""}}'),
        ({"type": "twapStates", "user": USER}, f'{{"type":"twapStates","user":"{LOWER}","dex":""}}'),
        ({"type": "spotState", "user": USER}, f'{{"type":"spotState","user":"{LOWER}","ignorePortfolioMargin":false}}'),
        (
            {"type": "activeAssetData", "coin": "BTC", "user": USER},
            f'{{"type":"activeAssetData","user":"{LOWER}","coin":"BTC"}}',
        ),
        ({"type": "fastAssetCtxs"}, '{"type":"fastAssetCtxs"}'),
    ],
)
def test_the_echo_fills_in_defaults_and_lowers_addresses(asked: dict[str, object], echo: str) -> None:
    assert canonical(**asked) == echo


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        "bbo",
        {},
        {"type": "nonsense"},
        {"type": ["bbo"], "coin": "BTC"},
        {"type": "bbo"},
        {"type": "bbo", "coin": ["BTC", "ETH"]},
        {"type": "bbo", "coin": None},
        {"type": "candle", "coin": "BTC"},
        {"type": "candle", "coin": "BTC", "interval": "7m"},
        {"type": "candle", "coin": "BTC", "interval": 60},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": "5"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 5.0},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": -1},
        {"type": "l2Book", "coin": "BTC", "fast": 1},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": True},
        {"type": "orderUpdates"},
        {"type": "orderUpdates", "user": "0x12"},
        {"type": "orderUpdates", "user": USER + "0"},
        {"type": "orderUpdates", "user": USER[2:]},
        {"type": "userFills", "user": USER, "aggregateByTime": "yes"},
        {"type": "clearinghouseState", "user": USER, "dex": 0},
    ],
)
def test_a_field_of_the_wrong_type_is_a_parse_error(asked: object) -> None:
    assert read_subscription(asked) is None


def test_web_data_2_is_a_parse_error_unless_it_is_allowed() -> None:
    asked = {"type": "webData2", "user": USER}
    assert read_subscription(asked) is None
    found = read_subscription(asked, legacy_web_data=True)
    assert found is not None and found.kind is Kind.WEB_DATA_2


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "allMids", "dex": "xyz"},
        {"type": "clearinghouseState", "user": USER, "dex": "xyz"},
        {"type": "candle", "coin": "BTC", "interval": "1w"},
        {"type": "outcomeMetaUpdates"},
    ],
)
def test_what_this_venue_does_not_have_is_understood_and_not_served(asked: dict[str, object]) -> None:
    found = read_subscription(asked)
    assert found is not None and not found.is_served


@pytest.mark.parametrize(
    ("figures", "mantissa", "valid"),
    [
        (None, None, True),
        (2, None, True),
        (5, None, True),
        (5, 1, True),
        (5, 5, True),
        (1, None, False),
        (6, None, False),
        (0, None, False),
        (None, 2, False),
        (4, 2, False),
        (5, 3, False),
    ],
)
def test_a_mantissa_goes_with_five_figures_only(figures: int | None, mantissa: int | None, valid: bool) -> None:
    found = read_subscription({"type": "l2Book", "coin": "BTC", "nSigFigs": figures, "mantissa": mantissa})
    assert found is not None and found.has_valid_book_parameters is valid


def test_every_kind_can_be_asked_for() -> None:
    asked = {"user": USER, "coin": "BTC", "interval": "1m"}
    for kind in Kind:
        found = read_subscription({"type": kind.value} | asked, legacy_web_data=True)
        assert found is not None and found.kind is kind
        assert json.loads(found.canonical)["type"] == kind.value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        '{"method":"Ping"}',
        '{"method":"subscribe"}',
        '{"method":["subscribe"],"subscription":{"type":"allMids"}}',
        '{"method":"unsubscribe","subscription":{"type":"bbo"}}',
        '{"method":"post"}',
        '{"method":"post","request":{"type":"info","payload":{}}}',
        '{"method":"post","id":"7","request":{"type":"info","payload":{}}}',
        '{"method":"post","id":true,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":-1,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":7.5,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":18446744073709551616,"request":{"type":"info","payload":{}}}',
        '{"method":"post","id":7,"request":{"type":"explorer","payload":{}}}',
        '{"method":"post","id":7,"request":{"type":["info"],"payload":{}}}',
        '{"method":"post","id":7,"request":{"type":"info"}}',
        '{"method":"post","id":7,"request":{"type":"info","payload":[]}}',
        '{"method":"ping","x":\ud800}',
        '"\ud800"',
        "[" * 100_000,
    ],
)
def test_other_frames_cannot_be_read(text: str) -> None:
    assert read_request(text) is None


def test_requests_are_told_apart_by_their_method() -> None:
    assert read_request('{"method":"ping"}') == Ping()
    subscription = {"type": "allMids"}
    assert isinstance(read_request(json.dumps({"method": "subscribe", "subscription": subscription})), Subscribe)
    assert isinstance(read_request(json.dumps({"method": "unsubscribe", "subscription": subscription})), Unsubscribe)
    post = {"method": "post", "id": 2**64 - 1, "request": {"type": "info", "payload": {"type": "meta"}}}
    assert read_request(json.dumps(post)) == PostRequest(2**64 - 1, "info", {"type": "meta"})
