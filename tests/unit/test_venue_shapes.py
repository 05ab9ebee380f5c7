"""Wire rows of the local venue, by example: texts, keys and their order, what stands only where it is set."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange.accounts import LeverageSetting, VenueAccount, VenuePosition
from adapters.sim.venue.exchange.events import LedgerUpdate, Liquidation, Printed, VenueFill, VenueFunding
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.order_book import Level
from adapters.sim.venue.exchange.orders import OrderChange, Status, Tif, TriggerSpec, VenueOrder
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.shapes.accounts import entry_text
from domain.candles import Interval
from domain.instruments import Instrument, single_tier
from domain.intents import Side
from tests.venue_desks import START_MS, Candle, Context, profit, stop

USER = "0x" + "ab" * 20
FILL = VenueFill(
    coin="BTC",
    price=Decimal(79146),
    size=Decimal("0.001"),
    side=Side.SELL,
    time_ms=1769940855551,
    start_position=Decimal("0.00093"),
    direction="Long > Short",
    closed_pnl=Decimal("0.0461289"),
    hash="0x5f",
    oid=308254271324,
    crossed=False,
    fee=Decimal("-0.0000019"),
    tid=404237815023429,
    cloid=None,
)


def make_order(
    side: Side = Side.SELL,
    *,
    tif: Tif | None = Tif.GTC,
    trigger: TriggerSpec | None = None,
    reduce_only: bool = False,
    cloid: str | None = None,
    oid: int = 7,
    parent: VenueOrder | None = None,
) -> VenueOrder:
    order = VenueOrder(
        oid=oid,
        address=USER,
        coin="BTC",
        side=side,
        price=Decimal(85000),
        size=Decimal("0.002"),
        original_size=Decimal("0.002"),
        tif=None if trigger else tif,
        trigger=trigger,
        reduce_only=reduce_only,
        cloid=cloid,
        placed_ms=1_000,
        parent=parent,
        waiting_for_parent=parent is not None,
    )
    if parent is None:
        change(order, 1_000, Status.OPEN, "0.002")
    return order


def change(order: VenueOrder, time_ms: int, status: Status, size: str) -> None:
    order.status, order.status_ms, order.size = status, time_ms, Decimal(size)
    order.changes.append(OrderChange(time_ms, status, Decimal(size)))


class TestOrders:
    def test_a_basic_order_has_optional_keys_only_when_set(self) -> None:
        plain = shapes.basic_order(make_order(), Decimal("0.001"))
        assert list(plain.items()) == [
            ("coin", "BTC"),
            ("side", "A"),
            ("limitPx", "85000.0"),
            ("sz", "0.001"),
            ("oid", 7),
            ("timestamp", 1_000),
            ("origSz", "0.002"),
        ]
        full = shapes.basic_order(make_order(Side.BUY, reduce_only=True, cloid="0x01"), Decimal(2))
        assert (full["side"], full["sz"], full["cloid"], full["reduceOnly"]) == ("B", "2.0", "0x01", True)

    def test_a_frontend_order_has_every_key(self) -> None:
        assert list(shapes.frontend_order(make_order())) == [
            *("coin", "side", "limitPx", "sz", "oid", "timestamp", "triggerCondition", "isTrigger", "triggerPx"),
            *("children", "isPositionTpsl", "reduceOnly", "orderType", "origSz", "tif", "cloid"),
        ]

    @pytest.mark.parametrize(
        ("side", "trigger", "kind", "condition"),
        [
            (Side.SELL, profit("90000"), "Take Profit Market", "Price above 90000"),
            (Side.SELL, stop("9.995", is_market=False), "Stop Limit", "Price below 9.995"),
            (Side.BUY, profit("10.50", is_market=False), "Take Profit Limit", "Price below 10.5"),
            (Side.BUY, stop("63515"), "Stop Market", "Price above 63515"),
        ],
    )
    def test_triggers_are_told_as_the_frontend_does(
        self, side: Side, trigger: TriggerSpec, kind: str, condition: str
    ) -> None:
        row = shapes.frontend_order(make_order(side, trigger=trigger))
        assert (row["orderType"], row["triggerCondition"], row["isTrigger"], row["tif"]) == (
            kind,
            condition,
            True,
            None,
        )

    @pytest.mark.parametrize(
        ("tif", "kind"),
        [
            (Tif.GTC, "Limit"),
            (Tif.IOC, "Limit"),
            (Tif.ALO, "Limit"),
            (Tif.FRONTEND_MARKET, "Market"),
            (Tif.LIQUIDATION_MARKET, "Market"),
        ],
    )
    def test_only_the_frontends_own_orders_are_called_market(self, tif: Tif, kind: str) -> None:
        row = shapes.frontend_order(make_order(tif=tif))
        assert (row["orderType"], row["tif"], row["triggerCondition"], row["triggerPx"]) == (
            kind,
            tif.value,
            "N/A",
            "0.0",
        )

    def test_a_fired_trigger_still_has_no_time_in_force(self) -> None:
        order = make_order(trigger=stop("80000"))
        order.tif, order.fired = Tif.IOC, True
        assert shapes.frontend_order(order)["tif"] is None

    def test_a_status_row_tells_the_last_change(self) -> None:
        order = make_order()
        change(order, 2_000, Status.OPEN, "0.0005")
        row = shapes.status_row(order)
        assert (row["status"], row["statusTimestamp"]) == ("open", 2_000)
        assert isinstance(row["order"], dict) and (row["order"]["sz"], row["order"]["timestamp"]) == ("0.0005", 1_000)

    def test_a_status_row_as_of_earlier_knows_nothing_of_later(self) -> None:
        order = make_order()
        change(order, 2_000, Status.OPEN, "0.0005")
        change(order, 3_000, Status.CANCELED, "0.0005")
        row = shapes.status_row(order, 2_999)
        assert (row["status"], row["statusTimestamp"]) == ("open", 2_000)
        assert shapes.status_row(order, 2_000) == row != shapes.status_row(order, 1_999)
        assert shapes.status_row(order, 3_000)["status"] == "canceled"
        assert shapes.is_open(order, 2_999) and not shapes.is_open(order, 3_000) and not shapes.is_open(order)

    def test_a_change_row_has_the_size_of_its_moment(self) -> None:
        order = make_order()
        change(order, 2_000, Status.FILLED, "0")
        first, last = (shapes.order_change_row(order, each) for each in order.changes)
        assert list(first) == ["order", "status", "statusTimestamp"]
        assert [first["status"], last["status"]] == ["open", "filled"]
        assert isinstance(first["order"], dict) and isinstance(last["order"], dict)
        assert [first["order"]["sz"], last["order"]["sz"]] == ["0.002", "0.0"]

    def test_history_has_a_row_per_status_as_it_began_and_the_last_as_it_is(self) -> None:
        order = make_order()
        change(order, 2_000, Status.OPEN, "0.0005")
        running = list(shapes.history_rows(order))
        assert [time_ms for time_ms, _ in running] == [2_000]
        change(order, 3_000, Status.FILLED, "0")
        found = [
            (time_ms, row["status"], row["order"]["sz"])
            for time_ms, row in shapes.history_rows(order)
            if isinstance(row["order"], dict)
        ]
        assert found == [(1_000, "open", "0.002"), (3_000, "filled", "0.0")]
        assert [time_ms for time_ms, _ in shapes.history_rows(order, 2_500)] == [2_000]


class TestChildren:
    def family(self) -> tuple[VenueOrder, VenueOrder]:
        parent = make_order(Side.BUY)
        child = make_order(trigger=stop("80000"), reduce_only=True, oid=8, parent=parent)
        parent.children = [child]
        return parent, child

    def test_they_stand_under_a_parent_that_has_not_filled(self) -> None:
        parent, child = self.family()
        row = shapes.frontend_order(parent)
        assert isinstance(row["children"], list) and [each["oid"] for each in row["children"]] == [8]
        assert shapes.is_open(parent) and not shapes.is_open(child)

    def test_they_stand_alone_once_it_has(self) -> None:
        parent, child = self.family()
        change(parent, 2_000, Status.FILLED, "0")
        child.waiting_for_parent, child.placed_ms = False, 2_000
        change(child, 2_000, Status.OPEN, "0.002")
        assert shapes.frontend_order(parent)["children"] == []
        assert shapes.is_open(child)
        # Whoever asks about the moment before finds them as they were then.
        earlier = shapes.frontend_order(parent, 1_999)["children"]
        assert isinstance(earlier, list) and [each["oid"] for each in earlier] == [8]
        assert not shapes.is_open(child, 1_999) and shapes.is_open(child, 2_000)

    def test_they_go_with_a_canceled_parent(self) -> None:
        parent, child = self.family()
        change(parent, 2_000, Status.CANCELED, "0.002")
        change(child, 2_000, Status.CANCELED, "0.002")
        assert shapes.frontend_order(parent)["children"] == []
        assert not shapes.is_open(child) and not shapes.is_open(child, 2_000)
        assert not shapes.is_open(child, 1_999)


class TestFills:
    def test_the_keys_stand_in_the_venues_order(self) -> None:
        full = replace(FILL, cloid="0x02", liquidation=Liquidation(USER, Decimal(66607), "market"))
        assert list(shapes.fill_row(full)) == [
            *("coin", "px", "sz", "side", "time", "startPosition", "dir", "closedPnl", "hash", "oid", "crossed", "fee"),
            *("tid", "cloid", "liquidation", "feeToken", "twapId"),
        ]
        assert shapes.fill_row(full)["liquidation"] == {
            "liquidatedUser": USER,
            "markPx": "66607.0",
            "method": "market",
        }

    def test_money_is_cut_to_six_decimals(self) -> None:
        row = shapes.fill_row(FILL)
        assert (row["px"], row["closedPnl"], row["fee"]) == ("79146.0", "0.046128", "-0.000001")
        assert "cloid" not in row and "liquidation" not in row
        assert (row["feeToken"], row["twapId"], row["crossed"]) == ("USDC", None, False)

    def test_partial_fills_of_one_order_and_block_are_merged(self) -> None:
        first = replace(FILL, price=Decimal(100), size=Decimal(1), fee=Decimal("0.1"), direction="Close Long")
        second = replace(first, price=Decimal(101), size=Decimal(2), tid=5, start_position=Decimal(-1))
        flip = replace(second, direction="Long > Short", closed_pnl=Decimal(1))
        merged = shapes.merged_by_time([first, flip])
        assert len(merged) == 1
        row = shapes.fill_row(merged[0])
        assert (row["px"], row["sz"], row["fee"], row["dir"]) == ("100.6666666667", "3.0", "0.2", "Long > Short")
        assert (row["closedPnl"], row["startPosition"], row["tid"]) == ("1.046128", "0.00093", FILL.tid)

    def test_other_orders_blocks_and_roles_stay_apart(self) -> None:
        fills = [FILL, replace(FILL, oid=1), replace(FILL, time_ms=1), replace(FILL, crossed=True)]
        assert shapes.merged_by_time(fills) == fills


class TestMoney:
    def test_funding_is_told_alike_on_both_sides(self) -> None:
        paid = VenueFunding(1791280800037, "BTC", Decimal("-0.6010871"), Decimal("0.55919"), Decimal("0.0000125"))
        event = shapes.funding_event_row(paid)
        assert list(event.items()) == [
            ("time", 1791280800037),
            ("coin", "BTC"),
            ("usdc", "-0.601087"),
            ("szi", "0.55919"),
            ("fundingRate", "0.0000125"),
            ("nSamples", None),
        ]
        row = shapes.funding_row(paid)
        assert (row["time"], row["hash"]) == (1791280800037, "0x" + 64 * "0")
        assert row["delta"] == {"type": "funding", **{key: event[key] for key in list(event)[1:]}}

    def test_a_ledger_row_carries_its_delta(self) -> None:
        update = LedgerUpdate(5, "0x01", {"type": "deposit", "usdc": "3000.0"})
        assert shapes.ledger_row(update) == {"time": 5, "hash": "0x01", "delta": {"type": "deposit", "usdc": "3000.0"}}

    def test_spot_money_is_one_token_or_nothing(self) -> None:
        assert shapes.spot_state(None) == {"balances": []} == shapes.spot_state(VenueAccount(USER))
        assert shapes.spot_state(VenueAccount(USER, spot_usdc=Decimal("14.625485"))) == {
            "balances": [{"coin": "USDC", "token": 0, "total": "14.625485", "hold": "0.0", "entryNtl": "0.0"}]
        }


HYPE = Instrument("HYPE", 2, single_tier(10))
BTC = Instrument("BTC", 5, single_tier(40))


def exchange_at(**marks: str) -> Exchange:
    exchange = Exchange((BTC, HYPE), VenueSettings(), START_MS)
    prices = {coin: Decimal(mark) for coin, mark in marks.items()}
    exchange.set_marks(prices, prices)
    return exchange


class TestClearinghouse:
    def test_the_recorded_isolated_account_comes_out_digit_by_digit(self) -> None:
        """`rest_clearinghouseState_isolated_HYPE.json`, a real account of August 2025."""
        exchange = exchange_at(HYPE="37.826", BTC="100000")
        account = VenueAccount(USER, cash=Decimal("75.781884"))
        account.positions["HYPE"] = VenuePosition(
            Decimal(2), Decimal("37.829"), leverage=10, raw_usd=Decimal("-68.126246")
        )
        account.funding_all_time["HYPE"] = Decimal("4.966798")
        assert shapes.clearinghouse_state(exchange, account, 1754467216357) == {
            "marginSummary": {
                "accountValue": "83.307638",
                "totalNtlPos": "75.652",
                "totalRawUsd": "7.655638",
                "totalMarginUsed": "7.525754",
            },
            "crossMarginSummary": {
                "accountValue": "75.781884",
                "totalNtlPos": "0.0",
                "totalRawUsd": "75.781884",
                "totalMarginUsed": "0.0",
            },
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": "75.781884",
            "assetPositions": [
                {
                    "type": "oneWay",
                    "position": {
                        "coin": "HYPE",
                        "szi": "2.0",
                        "leverage": {"type": "isolated", "value": 10, "rawUsd": "-68.126246"},
                        "entryPx": "37.829",
                        "positionValue": "75.652",
                        "unrealizedPnl": "-0.006",
                        "returnOnEquity": "-0.0007930424",
                        "liquidationPx": "35.8559189474",
                        "marginUsed": "7.525754",
                        "maxLeverage": 10,
                        "cumFunding": {"allTime": "4.966798", "sinceOpen": "0.0", "sinceChange": "0.0"},
                    },
                }
            ],
            "time": 1754467216357,
        }

    def test_the_recorded_cross_short_comes_out_digit_by_digit(self) -> None:
        """`hl_ws_webData2_openPosition_202507`: 0.0001 BTC short at 1x."""
        exchange = exchange_at(BTC="107840", HYPE="37")
        account = VenueAccount(USER, cash=Decimal("29.995147"))
        account.positions["BTC"] = VenuePosition(Decimal("-0.0001"), Decimal(107851), leverage=1)
        state = shapes.clearinghouse_state(exchange, account, 5)
        assert state["marginSummary"] == {
            "accountValue": "29.996247",
            "totalNtlPos": "10.784",
            "totalRawUsd": "40.780247",
            "totalMarginUsed": "10.784",
        }
        assert state["marginSummary"] == state["crossMarginSummary"]
        assert (state["crossMaintenanceMarginUsed"], state["withdrawable"]) == ("0.1348", "19.212247")
        assert isinstance(state["assetPositions"], list)
        position = state["assetPositions"][0]["position"]
        assert (position["leverage"], position["maxLeverage"]) == ({"type": "cross", "value": 1}, 40)
        assert (position["liquidationPx"], position["returnOnEquity"]) == ("402767.8716049383", "0.0001019926")
        assert (position["entryPx"], position["unrealizedPnl"]) == ("107851.0", "0.0011")

    def test_a_tenth_of_the_notional_may_not_be_withdrawn(self) -> None:
        account = VenueAccount(USER, cash=Decimal(1000))
        account.positions["BTC"] = VenuePosition(Decimal("0.04"), Decimal(100_000), leverage=40)
        state = shapes.clearinghouse_state(exchange_at(BTC="100000"), account, 5)
        assert state["withdrawable"] == "600.0"

    def test_positions_stand_in_the_order_of_their_assets(self) -> None:
        exchange = Exchange((HYPE, BTC), VenueSettings(), START_MS)
        prices = {"HYPE": Decimal(37), "BTC": Decimal(100_000)}
        exchange.set_marks(prices, prices)
        account = VenueAccount(USER, cash=Decimal(1000))
        account.positions["BTC"] = VenuePosition(Decimal("0.001"), Decimal(100000), leverage=10)
        account.positions["HYPE"] = VenuePosition(Decimal(1), Decimal(37), leverage=10)
        state = shapes.clearinghouse_state(exchange, account, 5)
        assert isinstance(state["assetPositions"], list)
        assert [each["position"]["coin"] for each in state["assetPositions"]] == ["HYPE", "BTC"]
        assert state["assetPositions"][1]["position"]["liquidationPx"] is None

    def test_nobody_has_the_empty_account(self) -> None:
        state = shapes.clearinghouse_state(exchange_at(), None, 1791280776159)
        empty = {"accountValue": "0.0", "totalNtlPos": "0.0", "totalRawUsd": "0.0", "totalMarginUsed": "0.0"}
        assert list(state.items()) == [
            ("marginSummary", empty),
            ("crossMarginSummary", empty),
            ("crossMaintenanceMarginUsed", "0.0"),
            ("withdrawable", "0.0"),
            ("assetPositions", []),
            ("time", 1791280776159),
        ]

    @pytest.mark.parametrize(
        ("size_decimals", "entry", "shown"),
        # A wallet's BTC and a vault's SAGA: exact entries worked out from value and profit, and what was shown.
        [(5, "75635.89172911", "75635.8"), (5, "73706.08105", "73706.0"), (1, "0.01662954", "0.01662")],
    )
    def test_entries_are_cut_as_recorded(self, size_decimals: int, entry: str, shown: str) -> None:
        assert entry_text(Instrument("X", size_decimals, single_tier(3)), Decimal(entry)) == shown


class TestActiveAsset:
    def test_the_recorded_flat_account_comes_out(self) -> None:
        """go-hyperliquid's UserActiveAssetData: sizes are cut to the step."""
        exchange = exchange_at(HYPE="94.017")
        account = VenueAccount(USER, cash=Decimal("680.955673"))
        account.leverage["HYPE"] = LeverageSetting(10, is_cross=True)
        assert list(shapes.active_asset_data(exchange, USER, account, "HYPE").items()) == [
            ("user", USER),
            ("coin", "HYPE"),
            ("leverage", {"type": "cross", "value": 10}),
            ("maxTradeSzs", ["72.42", "72.42"]),
            ("availableToTrade", ["680.955673", "680.955673"]),
            ("markPx", "94.017"),
        ]

    def test_going_against_a_position_frees_its_margin_twice(self) -> None:
        exchange = exchange_at(HYPE="100")
        account = VenueAccount(USER, cash=Decimal(1000))
        account.leverage["HYPE"] = LeverageSetting(10, is_cross=True)
        account.positions["HYPE"] = VenuePosition(Decimal(10), Decimal(100), leverage=10)
        row = shapes.active_asset_data(exchange, USER, account, "HYPE")
        assert (row["availableToTrade"], row["maxTradeSzs"]) == (["900.0", "1100.0"], ["90.0", "110.0"])
        account.positions["HYPE"] = VenuePosition(Decimal(-10), Decimal(100), leverage=10)
        assert shapes.active_asset_data(exchange, USER, account, "HYPE")["maxTradeSzs"] == ["110.0", "90.0"]

    def test_strangers_have_the_default_leverage_and_nothing(self) -> None:
        row = shapes.active_asset_data(exchange_at(HYPE="100"), USER, None, "HYPE")
        assert (row["leverage"], row["maxTradeSzs"]) == ({"type": "cross", "value": 10}, ["0.0", "0.0"])

    def test_an_isolated_setting_has_a_cash_of_its_own(self) -> None:
        account = VenueAccount(USER, cash=Decimal(1000))
        account.leverage["HYPE"] = LeverageSetting(3, is_cross=False)
        row = shapes.active_asset_data(exchange_at(HYPE="100"), USER, account, "HYPE")
        assert row["leverage"] == {"type": "isolated", "value": 3, "rawUsd": "0.0"}


class TestMarket:
    def test_coins_name_the_listed_margin_tables(self) -> None:
        exchange = Exchange((replace(BTC, delisted=True), HYPE), VenueSettings(), START_MS)
        row = shapes.meta(exchange)
        assert list(row) == ["universe", "marginTables", "collateralToken"]
        assert row["universe"] == [
            {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 40, "isDelisted": True},
            {"szDecimals": 2, "name": "HYPE", "maxLeverage": 10, "marginTableId": 10},
        ]
        assert shapes.margin_table(exchange, 56) == {
            "description": "tiered 40x",
            "marginTiers": [
                {"lowerBound": "0.0", "maxLeverage": 40},
                {"lowerBound": "150000000.0", "maxLeverage": 20},
            ],
        }
        assert shapes.margin_table(exchange, 40) == {
            "description": "",
            "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 40}],
        }
        assert shapes.margin_table(exchange, 57) is None and shapes.margin_table(exchange, 0) is None

    def test_a_context_without_a_book_has_nulls(self) -> None:
        one = Decimal("1.50")
        row = shapes.asset_ctx(Context(one, one, one, one, None, one, one, None, None, one))
        assert list(row) == [
            *("funding", "openInterest", "prevDayPx", "dayNtlVlm", "premium", "oraclePx", "markPx", "midPx"),
            *("impactPxs", "dayBaseVlm"),
        ]
        assert (row["premium"], row["midPx"], row["impactPxs"], row["markPx"]) == (None, None, None, "1.5")
        assert shapes.asset_ctx(Context(one, one, one, one, one, one, one, one, (one, one), one))["impactPxs"] == [
            "1.5",
            "1.5",
        ]

    def test_a_book_tells_spread_and_speed_only_where_asked(self) -> None:
        level = Level(Decimal("0.00441"), Decimal(7447326), 10)
        row = {"px": "0.00441", "sz": "7447326.0", "n": 10}
        assert shapes.l2_book("kPEPE", 5, ([level], [])) == {"coin": "kPEPE", "time": 5, "levels": [[row], []]}
        special = shapes.l2_book("kPEPE", 5, ([], []), spread=Decimal(1), fast=True)
        assert (special["spread"], special["fast"]) == ("1.0", True)

    def test_a_trade_names_buyer_then_seller(self) -> None:
        printed = Printed("BTC", Side.SELL, Decimal(84143), Decimal("0.00036"), 9, "0x7a", 11, "0xb", "0xs")
        assert list(shapes.trade_row(printed).items()) == [
            ("coin", "BTC"),
            ("side", "A"),
            ("px", "84143.0"),
            ("sz", "0.00036"),
            ("time", 9),
            ("hash", "0x7a"),
            ("tid", 11),
            ("users", ["0xb", "0xs"]),
        ]

    def test_a_candles_keys_stand_in_the_venues_order(self) -> None:
        row = shapes.candle_row("kPEPE", Interval.M1, Candle(60_000, 119_999, open=1.6e-05, volume=520665683.0))
        assert list(row.items()) == [
            ("t", 60_000),
            ("T", 119_999),
            ("s", "kPEPE"),
            ("i", "1m"),
            ("o", "0.000016"),
            ("c", "101.0"),
            ("h", "110.5"),
            ("l", "99.0"),
            ("v", "520665683.0"),
            ("n", 3),
        ]
        assert shapes.candle_row("BTC", "1w", Candle(0, 1))["i"] == "1w"
