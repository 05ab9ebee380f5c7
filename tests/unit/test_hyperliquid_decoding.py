"""What is read of the venue's messages, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.hyperliquid import cash_flows, wire_account, wire_orders, wire_rest
from adapters.hyperliquid.heard import (
    Acked,
    BboHeard,
    BookHeard,
    CandleHeard,
    DecodeError,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Heard,
    Ignored,
    MidsHeard,
    OrderUpdatesHeard,
    Posted,
    StatusKind,
    TradesHeard,
    UserEventsHeard,
    status_kind,
    subscription_key,
)
from adapters.hyperliquid.wire_frames import GREETING, decode_frame
from domain.candles import Interval
from domain.fills import FillCause
from domain.instruments import MarginTier
from domain.intents import Side
from tests.hyperliquid_frames import (
    CLOID,
    NOW_MS,
    OTHER,
    OWN,
    bbo,
    book,
    candle_row,
    context,
    fill_row,
    frame,
    funding_row,
    made_frames,
    order_row,
    trade_row,
    universe,
    update_row,
)

DAY_MS = 86_400_000
COINS = universe()


def heard(raw: str | bytes, now_ms: int | None = None) -> Heard:
    return decode_frame(raw, COINS, OWN, now_ms)


def drifts(raw: str | bytes, problem: str, now_ms: int | None = None) -> None:
    found = heard(raw, now_ms)
    assert isinstance(found, Drifted), found
    assert problem in found.problem, found.problem


def candles(**changes: object) -> str:
    return frame("candle", candle_row(**changes))


def fills(*rows: dict[str, object]) -> str:
    return frame("userFills", {"user": OWN, "fills": list(rows)})


def body(value: object) -> bytes:
    return json.dumps(value).encode()


# ── words ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("open", StatusKind.OPEN),
        ("filled", StatusKind.FILLED),
        ("canceled", StatusKind.CANCELED),
        ("reduceOnlyCanceled", StatusKind.CANCELED),
        ("scheduledCancel", StatusKind.CANCELED),
        ("somethingNewCanceled", StatusKind.CANCELED),
        ("rejected", StatusKind.REJECTED),
        ("iocCancelRejected", StatusKind.REJECTED),
        ("somethingNewRejected", StatusKind.REJECTED),
        ("triggered", StatusKind.ASK_AGAIN),
        ("expired", StatusKind.ASK_AGAIN),
        ("cancelPending", StatusKind.ASK_AGAIN),
    ],
)
def test_an_unknown_status_is_an_end_only_by_its_ending(status: str, kind: StatusKind) -> None:
    assert status_kind(status) is kind


def test_a_subscription_has_one_key_however_it_is_spelled() -> None:
    asked = {"type": "userFills", "user": OWN.upper().replace("X", "x")}
    echoed = {"user": OWN, "aggregateByTime": False, "type": "userFills"}
    assert subscription_key(asked) == subscription_key(echoed)
    assert subscription_key({"type": "candle", "coin": "kPEPE", "interval": "1m"}) == "candle:coin=kPEPE:interval=1m"
    assert subscription_key({"type": "candle", "coin": "BTC", "interval": "1m"}) != subscription_key(
        {"type": "candle", "coin": "BTC", "interval": "1M"}
    )


# ── frames of the connection ─────────────────────────────────────────────────────────────────


def test_every_made_frame_is_known() -> None:
    assert not [found for found in map(heard, made_frames()) if isinstance(found, Drifted)]


@pytest.mark.parametrize("raw", ["", "null", "[]", "{", '{"data":1}', '{"channel":5}', '"\ud800"', "[" * 100_000])
def test_what_is_no_frame_drifts_and_never_raises(raw: str) -> None:
    assert isinstance(heard(raw), Drifted)


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000, "[" * 400 + "]" * 400])
def test_depth_without_end_drifts(deep: str) -> None:
    ack = '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":'
    for raw in (
        ack + deep,
        ack + deep + "}}}",
        '{"channel":"bbo","data":' + deep,
        '{"channel":"bbo","data":' + deep + "}",
    ):
        assert isinstance(heard(raw), (Drifted, Acked))


def test_bytes_that_are_no_text_drift() -> None:
    assert isinstance(decode_frame(b'{"channel":"\xff"}', COINS), Drifted)


def test_an_unknown_channel_drifts_under_a_short_name() -> None:
    found = heard(frame("x" * 500, {}))
    assert isinstance(found, Drifted) and len(found.channel) <= 40


def test_the_greeting_of_old_deployments_is_not_drift() -> None:
    assert heard(GREETING) == Ignored("greeting")


def test_an_acknowledgement_names_its_subscription() -> None:
    found = heard(
        frame("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "bbo", "coin": "BTC"}})
    )
    assert found == Acked("subscribe", "bbo:coin=BTC", {"type": "bbo", "coin": "BTC"})
    drifts(frame("subscriptionResponse", {"method": "resubscribe", "subscription": {}}), "method")


def test_answers_to_posts() -> None:
    def post(kind: str, payload: object) -> Heard:
        return heard(frame("post", {"id": 256, "response": {"type": kind, "payload": payload}}))

    ok = {"status": "ok", "response": {"type": "default"}}
    found = post("action", ok)
    assert isinstance(found, Posted) and found.status_ok
    refused = post("action", {"status": "err", "response": "no"})
    assert isinstance(refused, Posted) and not refused.status_ok
    assert post("error", "422 Unprocessable Entity") == Posted(256, False, "error", b'"422 Unprocessable Entity"')
    assert isinstance(post("riddle", 1), Drifted)


# ── market data ──────────────────────────────────────────────────────────────────────────────


def test_quotes_of_coins_outside_the_session_are_ignored() -> None:
    assert heard(bbo(coin="DOGE")) == Ignored("bbo")
    assert heard(bbo(coin="@107")) == Ignored("bbo")


@pytest.mark.parametrize("price", ["0.0", "-1.0", "nan", "inf", "84.1e4x", "", " 84143.0"])
def test_a_price_that_is_none_drifts(price: str) -> None:
    assert isinstance(heard(bbo(bid=price)), Drifted)


def test_a_quote_whose_bid_is_above_its_ask_drifts() -> None:
    drifts(bbo("84145.0", "84144.0"), "above ask")
    assert heard(bbo("84144.0", "84144.0")) == BboHeard("BTC", NOW_MS, 84144.0, 84144.0)


def test_a_quote_may_lack_a_side_but_not_have_three() -> None:
    level = {"px": "84143.0", "sz": "1.0", "n": 1}

    def quote(*sides: object) -> str:
        return frame("bbo", {"coin": "BTC", "time": NOW_MS, "bbo": list(sides)})

    assert heard(quote(level, None)) == BboHeard("BTC", NOW_MS, 84143.0, None)
    assert heard(quote(None, level)) == BboHeard("BTC", NOW_MS, None, 84143.0)
    assert heard(quote(None, None)) == BboHeard("BTC", NOW_MS, None, None)
    assert heard(quote(level)) == BboHeard("BTC", NOW_MS, 84143.0, None)
    drifts(quote({"px": "inf"}, None), "no prices")
    drifts(quote(None, {"px": "inf"}), "no prices")
    drifts(quote(), "0 sides")
    drifts(quote(level, level, level), "3 sides")


def test_a_quote_from_another_day_drifts() -> None:
    assert isinstance(heard(bbo(), NOW_MS + DAY_MS), BboHeard)
    drifts(bbo(), "more than a day", NOW_MS + DAY_MS + 1)
    drifts(bbo(), "more than a day", NOW_MS - DAY_MS - 1)
    drifts(bbo(time_ms=NOW_MS // 1000), "time")  # seconds do not pass for milliseconds


def test_a_candle_as_object_and_as_list() -> None:
    wanted = CandleHeard(
        "BTC", Interval.M1, 1_790_232_180_000, 1_790_232_239_999, 84143.0, 84144.0, 84143.0, 84143.5, 14.27847
    )
    assert heard(candles()) == wanted
    assert heard(frame("candle", [candle_row()])) == wanted
    drifts(frame("candle", [candle_row(), candle_row()]), "2 candles")
    drifts(frame("candle", []), "0 candles")


def test_a_candle_with_numbers_instead_of_texts_is_read_too() -> None:
    assert isinstance(heard(candles(o=84143.0, v=14)), CandleHeard)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"h": "84142.0"}, "high is below low"),
        ({"c": "84144.5"}, "outside low..high"),
        ({"o": "84142.5"}, "outside low..high"),
        ({"l": "0.0"}, "not positive"),
        ({"v": "-1.0"}, "volume is negative"),
        ({"v": "nan"}, "not a finite number"),
        ({"h": "inf"}, "not a finite number"),
        ({"t": 1_790_232_180_001}, "no span"),
        ({"T": 1_790_232_240_000}, "no span"),
        ({"i": "5m"}, "no span"),
        ({"i": "7m"}, "unknown interval"),
    ],
)
def test_an_impossible_candle_is_never_delivered(changes: dict[str, object], problem: str) -> None:
    drifts(candles(**changes), problem)


def test_candles_far_from_now_drift_but_a_running_day_does_not() -> None:
    assert isinstance(heard(candles(), NOW_MS), CandleHeard)
    drifts(candles(), "more than a day", NOW_MS + 2 * DAY_MS)
    drifts(candles(), "more than a day", NOW_MS - 2 * DAY_MS)
    start = NOW_MS - NOW_MS % DAY_MS
    daily = candles(i="1d", t=start, T=start + DAY_MS - 1)
    assert isinstance(heard(daily, start + DAY_MS + 5_000), CandleHeard)


def test_candles_of_lengths_that_are_not_ours_are_ignored() -> None:
    assert heard(candles(i="1w")) == Ignored("candle")
    assert heard(candles(s="xyz:TSLA")) == Ignored("candle")


def test_trades() -> None:
    found = heard(frame("trades", [trade_row(), trade_row(side="B", hash="0x" + "0" * 64, tid=7)]), NOW_MS)
    assert isinstance(found, TradesHeard)
    assert [(trade.side, trade.tid) for trade in found.trades] == [(Side.SELL, 1045359869404765), (Side.BUY, 7)]
    assert heard(frame("trades", [])) == Ignored("trades")
    drifts(frame("trades", [trade_row(), trade_row(coin="ETH")]), "several coins")
    drifts(frame("trades", [trade_row(side="X")]), "side")
    drifts(frame("trades", [trade_row(sz="0.0")]), "not positive")
    drifts(frame("trades", [trade_row(time=NOW_MS + DAY_MS + 1)]), "ahead", NOW_MS)


def test_books() -> None:
    found = heard(book(["2.0", "1.0"], ["3.0"]))
    assert found == BookHeard("BTC", NOW_MS, ((2.0, 1.5), (1.0, 1.5)), ((3.0, 1.5),))
    drifts(book(["1.0", "2.0"], []), "bids do not fall")
    drifts(book([], ["2.0", "2.0"]), "asks do not rise")
    drifts(book(["4.0"], ["3.0"]), "above ask")
    drifts(frame("l2Book", {"coin": "BTC", "time": NOW_MS, "levels": [[]]}), "levels")


@pytest.mark.parametrize("key", ["markPx", "oraclePx", "funding", "openInterest"])
def test_a_context_needs_its_numbers(key: str) -> None:
    whole = context()
    for odd in (None, "nan", "inf", "-inf", "x"):
        drifts(frame("activeAssetCtx", {"coin": "BTC", "ctx": whole | {key: odd}}), "")
    del whole[key]
    drifts(frame("activeAssetCtx", {"coin": "BTC", "ctx": whole}), key)


def test_mid_prices_of_other_markets_are_not_even_read() -> None:
    assert heard(frame("allMids", {"mids": {"BTC": "1.5", "@1": "nonsense", "DOGE": None}})) == MidsHeard({"BTC": 1.5})
    drifts(frame("allMids", {"mids": {"BTC": "0.0"}}), "mid price")
    assert wire_rest.decode_all_mids(body({"BTC": "1.5", "DOGE": "0.1", "#10": "x"})) == {"BTC": 1.5, "DOGE": 0.1}
    with pytest.raises(DecodeError, match="allMids"):
        wire_rest.decode_all_mids(body({"BTC": "x"}))


# ── fills ────────────────────────────────────────────────────────────────────────────────────

DECISIVE = ("coin", "px", "sz", "side", "time", "startPosition", "oid", "crossed", "fee")


@pytest.mark.parametrize("key", DECISIVE)
def test_a_fill_without_a_decisive_field_drifts(key: str) -> None:
    row = fill_row()
    del row[key]
    drifts(fills(fill_row(), row), key)


@pytest.mark.parametrize(
    "changes",
    [
        {"px": 79146.0},
        {"px": "7.9e4"},
        {"px": "79_146.0"},
        {"px": "NaN"},
        {"px": "0.0"},
        {"sz": "-0.001"},
        {"sz": "0.0"},
        {"sz": "+0.001"},
        {"sz": "٣"},
        {"side": "S"},
        {"side": "b"},
        {"time": "1769940855551"},
        {"time": 1769940855},
        {"oid": -1},
        {"oid": 2**63},
        {"oid": 1.5},
        {"crossed": "false"},
        {"fee": "Infinity"},
        {"feeToken": "HYPE"},
        {"cloid": "0x12"},
        {"cloid": CLOID + "00"},
        {"coin": ""},
        {"tid": "7"},
        {"twapId": "7"},
        {"twapId": -1},
        {"liquidation": "yes"},
        {"liquidation": {}},
    ],
)
def test_a_fill_with_an_odd_field_drifts_with_all_of_its_frame(changes: dict[str, object]) -> None:
    drifts(fills(fill_row(), fill_row(**changes)), "")


def test_a_fill_keeps_the_venues_numbers_to_the_digit() -> None:
    found = heard(fills(fill_row(px="85791.2407407407", fee="-0.000463", cloid=CLOID.upper().replace("X", "x"))))
    assert isinstance(found, FillsHeard)
    (fill,) = found.fills
    assert (str(fill.price), str(fill.fee), fill.cloid) == ("85791.2407407407", "-0.000463", CLOID)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("0.00093", "0.00093"),
        ("-0.0", "-0.0"),
        ("3135809.3999999999", "3135809.400000"),
        ("-9523216.5500000007", "-9523216.550000"),
        ("0.000001", "0.000001"),
        ("9" * 30 + ".5", "9" * 30 + ".5"),
        ("9" * 30 + ".49999999", "9" * 30 + ".500000"),
    ],
)
def test_the_noise_of_the_venues_floats_is_not_part_of_a_position(told: str, meant: str) -> None:
    found = heard(fills(fill_row(startPosition=told)))
    assert isinstance(found, FillsHeard)
    assert str(found.fills[0].start_position) == meant


def test_only_a_snapshot_says_that_it_is_one() -> None:
    plain, snapshot = heard(fills()), heard(frame("userFills", {"isSnapshot": True, "user": OWN.upper(), "fills": []}))
    assert isinstance(plain, FillsHeard) and not plain.is_snapshot
    assert isinstance(snapshot, FillsHeard) and snapshot.is_snapshot and snapshot.user == OWN


def test_fills_of_other_markets_are_counted_whatever_is_in_them() -> None:
    spot = fill_row(coin="@107", fee="0.1", feeToken="HYPE", sz="0.0")
    found = heard(fills(spot, fill_row(), fill_row(coin="PURR/USDC"), fill_row(coin="xyz:CL"), fill_row(coin="#10")))
    assert isinstance(found, FillsHeard)
    assert (len(found.fills), found.skipped) == (1, 4)


def test_fills_of_perps_outside_the_session_are_kept() -> None:
    found = heard(fills(fill_row(coin="NEWCOIN")))
    assert isinstance(found, FillsHeard) and [fill.symbol for fill in found.fills] == ["NEWCOIN"]


def test_a_fill_without_an_id_gets_the_same_one_every_time_and_twins_get_two() -> None:
    row = fill_row()
    del row["tid"]
    twin = row | {"startPosition": "-0.00007"}
    first, second = (heard(fills(row, twin)) for _ in range(2))
    assert isinstance(first, FillsHeard) and first == second
    assert len({fill.trade_id for fill in first.fills}) == 2
    assert all(2**62 <= fill.tid < 2**63 for fill in first.fills)


def test_a_liquidation_names_us_in_any_case() -> None:
    for who, is_ours in ((OWN, True), (OWN.upper().replace("X", "x"), True), (OTHER, False)):
        found = heard(fills(fill_row(liquidation={"liquidatedUser": who, "markPx": "1.0", "method": "market"})))
        assert isinstance(found, FillsHeard)
        assert [fill.cause is FillCause.LIQUIDATION for fill in found.fills] == [is_ours]


ZERO_HASH = "0x" + "0" * 64
NAMES_US = {"liquidatedUser": OWN, "markPx": "1.0", "method": "market"}
NAMES_OTHER = NAMES_US | {"liquidatedUser": OTHER}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, FillCause.ORDER),
        ({"dir": "Auto-Deleveraging"}, FillCause.ADL),
        ({"dir": "Auto-Deleveraging", "liquidation": NAMES_OTHER}, FillCause.ADL),
        ({"dir": "Auto-Deleveraging", "liquidation": NAMES_US}, FillCause.LIQUIDATION),
        ({"dir": "Settlement"}, FillCause.SETTLEMENT),
        ({"twapId": 1560286, "hash": ZERO_HASH}, FillCause.TWAP),
        ({"twapId": 1560286, "hash": ZERO_HASH, "cloid": None}, FillCause.TWAP),
        ({"hash": ZERO_HASH, "cloid": None, "crossed": False}, FillCause.ORDER),  # a maker met somebody's slice
        ({"hash": ZERO_HASH, "cloid": None, "crossed": True}, FillCause.ORDER),
        ({"liquidation": NAMES_OTHER}, FillCause.ORDER),
        ({"dir": "Liquidated Cross Long"}, FillCause.ORDER),
        ({"dir": "Some New Word"}, FillCause.ORDER),
        ({"dir": None}, FillCause.ORDER),
        ({"dir": {"text": 7}}, FillCause.ORDER),
    ],
)
def test_a_fill_has_a_cause(changes: dict[str, object], cause: FillCause) -> None:
    found = heard(fills(fill_row(**changes)))
    assert isinstance(found, FillsHeard)
    (fill,) = found.fills
    assert fill.cause is cause
    plain = heard(fills(fill_row()))
    assert isinstance(plain, FillsHeard)
    assert (fill.side, fill.size, fill.start_position) == (  # words decide nothing about amounts
        plain.fills[0].side,
        plain.fills[0].size,
        plain.fills[0].start_position,
    )


def test_a_fee_token_is_read_with_spaces_and_matters_only_with_a_fee() -> None:
    assert isinstance(heard(fills(fill_row(feeToken=" USDC"), fill_row(feeToken="X", fee="0.0"))), FillsHeard)


def test_a_fill_from_tomorrow_drifts_and_an_old_one_does_not() -> None:
    late = fill_row()["time"]
    assert isinstance(late, int)
    assert isinstance(heard(fills(fill_row()), late + 1000 * DAY_MS), FillsHeard)
    drifts(fills(fill_row()), "ahead", late - DAY_MS - 1)


# ── orders, payments, events ─────────────────────────────────────────────────────────────────


def test_order_updates() -> None:
    found = heard(frame("orderUpdates", [update_row(), update_row("filled", sz="0.0"), update_row(coin="@107")]))
    assert isinstance(found, OrderUpdatesHeard)
    assert [(u.kind, u.size, u.original_size, u.time_ms, u.cloid) for u in found.updates] == [
        (StatusKind.OPEN, Decimal("1.17163"), Decimal("1.5"), 1_784_976_929_600, CLOID),
        (StatusKind.FILLED, Decimal("0.0"), Decimal("1.5"), 1_784_976_929_600, CLOID),
    ]
    assert found.skipped == 1


@pytest.mark.parametrize("key", ["coin", "side", "sz", "oid", "origSz"])
def test_an_order_update_without_a_decisive_field_drifts(key: str) -> None:
    row: dict[str, Any] = update_row()
    del row["order"][key]
    drifts(frame("orderUpdates", [row]), key)


def test_an_order_update_without_a_status_drifts() -> None:
    drifts(frame("orderUpdates", [update_row("")]), "status")
    drifts(frame("orderUpdates", [update_row() | {"status": None}]), "status")


def test_payments_that_were_rolled_up_are_set_aside() -> None:
    rows = [funding_row(), funding_row(nSamples=1), funding_row(nSamples=24), funding_row(coin="xyz:CL")]
    found = heard(frame("userFundings", {"user": OWN, "fundings": rows}))
    assert isinstance(found, FundingsHeard)
    assert [row.amount_usd for row in found.fundings] == [Decimal("-0.601087")] * 2
    assert found.skipped == 2
    drifts(frame("userFundings", {"user": OWN, "fundings": [funding_row(usdc="x")]}), "usdc")


def test_user_events() -> None:
    assert heard(frame("user", {})) == UserEventsHeard()
    found = heard(frame("user", {"nonUserCancel": [{"coin": "BTC", "oid": 5}, {"coin": "@1", "oid": 6}]}))
    assert found == UserEventsHeard(canceled=(("BTC", 5),), skipped=1)
    row = {
        "lid": 1,
        "liquidator": OTHER,
        "liquidated_user": OWN,
        "liquidated_ntl_pos": "356.8",
        "liquidated_account_value": "2.95",
    }
    liquidated = heard(frame("user", {"liquidation": row}))
    assert isinstance(liquidated, UserEventsHeard)
    assert liquidated.liquidations[0].liquidated_user == OWN
    del row["liquidated_user"]
    drifts(frame("user", {"liquidation": row}), "liquidated_user")


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def state(*positions: dict[str, object]) -> dict[str, object]:
    summary = {"accountValue": "100.0", "totalNtlPos": "0.0", "totalRawUsd": "0.0", "totalMarginUsed": "1.0"}
    return {
        "marginSummary": summary,
        "withdrawable": "50.0",
        "assetPositions": [{"type": "oneWay", "position": position} for position in positions],
        "time": NOW_MS,
    }


def position(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "coin": "BTC",
        "szi": "-0.5",
        "leverage": {"type": "cross", "value": 20},
        "entryPx": "100.0",
        "positionValue": "50.0",
        "unrealizedPnl": "-2.5",
        "liquidationPx": None,
        "marginUsed": "2.5",
    }
    return row | changes


def test_cash_is_equity_without_what_is_still_open() -> None:
    found = wire_account.decode_account_state(body(state(position(), position(coin="ETH", unrealizedPnl="1.0"))))
    assert (found.equity_usd, found.cash_usd) == (Decimal("100.0"), Decimal("101.5"))
    assert [(p.coin, p.size) for p in found.positions] == [("BTC", Decimal("-0.5")), ("ETH", Decimal("-0.5"))]


@pytest.mark.parametrize(
    "changes",
    [
        {"szi": None},
        {"szi": -0.5},
        {"szi": "x"},
        {"coin": ""},
        {"leverage": {"type": "hedged", "value": 3}},
        {"leverage": {"type": "isolated", "value": 3}},
        {"unrealizedPnl": "NaN"},
    ],
)
def test_a_position_that_cannot_be_read_is_an_error_for_the_whole_account(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError, match="clearinghouseState"):
        wire_account.decode_account_state(body(state(position(coin="ETH"), position(**changes))))


def test_an_account_with_two_positions_in_a_coin_or_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(DecodeError, match="twice"):
        wire_account.decode_account_state(body(state(position(), position())))
    hedged = state() | {"assetPositions": [{"type": "hedge", "position": position()}]}
    with pytest.raises(DecodeError, match="type"):
        wire_account.decode_account_state(body(hedged))


def test_positions_of_builder_dexes_are_counted() -> None:
    found = wire_account.decode_account_state(body(state(position(coin="xyz:CL"))))
    assert (found.positions, found.skipped) == ((), 1)


@pytest.mark.parametrize(
    ("word", "in_spot"), [("default", False), ("disabled", False), ("unifiedAccount", True), ("portfolioMargin", True)]
)
def test_where_collateral_lies(word: str, in_spot: bool) -> None:
    assert wire_account.keeps_collateral_in_spot(word) is in_spot


def test_an_unknown_kind_of_account_is_an_error() -> None:
    with pytest.raises(DecodeError, match="unknown kind"):
        wire_account.keeps_collateral_in_spot("quantum")


def test_roles() -> None:
    agent = wire_account.decode_user_role(body({"role": "agent", "data": {"user": OWN.upper()}}))
    assert agent == wire_account.UserRole("agent", OWN)
    child = wire_account.decode_user_role(body({"role": "subAccount", "data": {"master": OTHER}}))
    assert child == wire_account.UserRole("subAccount", OTHER)
    assert wire_account.decode_user_role(body({"role": "missing"})) == wire_account.UserRole("missing", None)
    with pytest.raises(DecodeError, match="without an account"):
        wire_account.decode_user_role(body({"role": "agent"}))


def test_order_status_is_an_order_or_unknown_and_nothing_else() -> None:
    assert wire_orders.decode_order_status(b'{"status":"unknownOid"}') is None
    answers: tuple[object, ...] = ({"status": "order"}, {"status": "later"}, {}, [], {"status": "order", "order": {}})
    for odd in answers:
        with pytest.raises(DecodeError, match="orderStatus"):
            wire_orders.decode_order_status(body(odd))


def test_open_orders_include_children_once() -> None:
    child = order_row(oid=2, isTrigger=True, triggerPx="90000.0", reduceOnly=True, cloid=None)
    parent = order_row(oid=1, children=[child])
    found = wire_orders.decode_open_orders(body([parent, child, order_row(coin="@107", oid=3)]))
    assert [(order.oid, order.trigger_price) for order in found.orders] == [(1, None), (2, Decimal("90000.0"))]
    assert found.skipped == 1


def asset(name: str, **changes: object) -> dict[str, object]:
    return {"name": name, "szDecimals": 5, "maxLeverage": 40, "marginTableId": 40} | changes


def test_instruments_keep_their_places_when_others_are_set_aside() -> None:
    tiers = [{"lowerBound": "0.0", "maxLeverage": 40}, {"lowerBound": "150000000.0", "maxLeverage": 20}]
    odd = [{"lowerBound": "5.0", "maxLeverage": 40}]
    meta = wire_rest.decode_meta(
        body(
            {
                "universe": [
                    asset("BTC", marginTableId=56),
                    asset("ODD", szDecimals=9),
                    asset("OLD", isDelisted=True),
                    asset("xyz:CL"),
                    asset("TABLE", marginTableId=57),
                    asset("ISO", onlyIsolated=True, marginMode="strictIsolated"),
                ],
                "marginTables": [[56, {"description": "", "marginTiers": tiers}], [57, {"marginTiers": odd}]],
            }
        )
    )
    assert meta.asset_ids == {"BTC": 0, "OLD": 2, "TABLE": 4, "ISO": 5}
    assert meta.instruments[0].margin_tiers == (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000_000), 20))
    assert [instrument.delisted for instrument in meta.instruments] == [False, True, False, False]
    assert [problem.split(":")[0] for problem in meta.problems] == ["'ODD'", "'TABLE'"]
    assert meta.isolated_only == frozenset({"ISO"})
    assert meta.skipped == 1
    with pytest.raises(DecodeError, match="twice"):
        wire_rest.decode_meta(body({"universe": [asset("BTC"), asset("BTC")]}))


def test_contexts_go_with_their_coins_and_a_bad_one_costs_only_itself() -> None:
    answer = [{"universe": [asset("BTC"), asset("ETH")]}, [context() | {"markPx": None}, context()]]
    meta, contexts = wire_rest.decode_meta_and_contexts(body(answer))
    assert list(contexts) == ["ETH"]
    assert "'BTC': no context" in meta.problems[0]
    with pytest.raises(DecodeError, match="1 contexts for 2 coins"):
        wire_rest.decode_meta_and_contexts(body([answer[0], [context()]]))


def next_row(**changes: object) -> dict[str, object]:
    return candle_row(t=1_790_232_240_000, T=1_790_232_299_999, **changes)


def test_candles_of_the_past() -> None:
    window = wire_rest.decode_candles(body([candle_row(), next_row(v="0.0")]), "BTC", Interval.M1, NOW_MS)
    assert (window.open_ms.tolist(), window.volume.tolist()) == (
        [1_790_232_180_000, 1_790_232_240_000],
        [14.27847, 0.0],
    )
    assert len(wire_rest.decode_candles(b"[]", "BTC", Interval.M1)) == 0


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([next_row(), candle_row()], "do not rise"),
        ([candle_row(), candle_row()], "do not rise"),
        ([candle_row(s="ETH")], "asked for BTC"),
        ([candle_row(i="5m")], "asked for BTC 1m"),
        ([candle_row(T=1_790_232_240_000)], "no span"),
        ([candle_row(h="1.0")], "high is below low"),
        ({}, "array"),
        (None, "array"),
    ],
)
def test_one_impossible_candle_spoils_the_answer(rows: object, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        wire_rest.decode_candles(body(rows), "BTC", Interval.M1)


def test_candles_of_the_day_after_tomorrow_are_refused() -> None:
    with pytest.raises(DecodeError, match="ahead"):
        wire_rest.decode_candles(body([candle_row()]), "BTC", Interval.M1, NOW_MS - 2 * DAY_MS)


ANSWERS: list[Callable[[bytes], object]] = [
    lambda b: wire_orders.decode_fills(b, OWN),
    wire_orders.decode_fundings,
    cash_flows.decode_ledger,
    wire_orders.decode_order_status,
    wire_orders.decode_order_history,
    wire_orders.decode_open_orders,
    wire_account.decode_account_state,
    wire_account.decode_spot_state,
    wire_account.decode_user_role,
    wire_account.decode_extra_agents,
    wire_account.decode_rate_limit,
    wire_account.decode_fee_rates,
    wire_account.decode_asset_settings,
    wire_rest.decode_meta,
    wire_rest.decode_meta_and_contexts,
    lambda b: wire_rest.decode_candles(b, "BTC", Interval.M1),
    lambda b: wire_rest.decode_funding_history(b, "BTC"),
]


@pytest.mark.parametrize("raw", [b"", b"null", b"<html>", b"\xff", b"[" * 100_000, b'"x"', b"[null]", b'{"a":1}', b"5"])
def test_no_answer_is_an_empty_one(raw: bytes) -> None:
    """An error page, `null` or nonsense never decodes to "there is none"."""
    for decode in ANSWERS:
        with pytest.raises(DecodeError):
            decode(raw)
