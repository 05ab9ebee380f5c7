"""The local venue's `/info` about orders and fills: what is told, in which order, and what a lag hides."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from adapters.sim.venue.exchange.events import VenueFill
from adapters.sim.venue.exchange.orders import Tif
from adapters.sim.venue.info.desk import InfoDesk
from adapters.sim.venue.limits import info_weight
from adapters.sim.venue.settings import VenueSettings
from domain.intents import Side
from tests.venue_desks import (
    CLOID,
    LOSER,
    PARENT,
    START_MS,
    TRADER,
    TX,
    ReadVenue,
    busy_venue,
    lagging,
    part,
    rows,
    spec,
    stop,
)

STRANGER = "0x" + "99" * 20


@pytest.fixture(scope="module")
def venue() -> ReadVenue:
    """Only read from."""
    return busy_venue()


def oids(body: object) -> list[object]:
    return [row["oid"] for row in rows(body)]


def fill(time_ms: int, oid: int = 1, tid: int = 0) -> VenueFill:
    return VenueFill(
        "BTC", Decimal(100), Decimal(1), Side.BUY, time_ms, Decimal(0), "Open Long", Decimal(0), TX, oid, True,
        Decimal(0), tid, None,
    )  # fmt: skip


class TestOrders:
    def test_open_orders_are_the_newest_first_without_waiting_children(self, venue: ReadVenue) -> None:
        plain, frontend = venue.ask("openOrders"), venue.ask("frontendOpenOrders")
        assert oids(plain) == oids(frontend) == sorted(map(int, map(str, oids(plain))), reverse=True)
        assert all("tif" not in row for row in rows(plain))
        by_type = {(row["coin"], row["orderType"], row["isPositionTpsl"]) for row in rows(frontend)}
        assert by_type >= {
            ("ETH", "Stop Market", True),
            ("ETH", "Take Profit Limit", True),
            ("kPEPE", "Stop Limit", False),
            ("BTC", "Limit", False),
        }

    def test_children_are_nested_under_their_parent(self, venue: ReadVenue) -> None:
        (parent,) = (row for row in rows(venue.ask("frontendOpenOrders")) if row["cloid"] == PARENT)
        children = rows(parent["children"])
        assert [row["orderType"] for row in children] == ["Take Profit Market", "Stop Market"]
        status = venue.ask("orderStatus", oid=PARENT)
        assert part(status, "order", "order") == parent
        child = venue.ask("orderStatus", oid=children[0]["oid"])
        assert (part(child, "order", "status"), part(child, "order", "order")) == ("open", children[0])

    def test_an_order_is_found_by_oid_and_cloid_of_any_case(self, venue: ReadVenue) -> None:
        by_cloid = venue.ask("orderStatus", oid=CLOID)
        oid = part(by_cloid, "order", "order", "oid")
        assert (
            by_cloid
            == venue.ask("orderStatus", oid=oid)
            == venue.ask("orderStatus", oid=CLOID.upper().replace("X", "x"))
        )
        assert part(by_cloid, "order", "status") == "filled" and part(by_cloid, "order", "order", "sz") == "0.0"
        assert venue.ask("orderStatus", oid=oid, user=LOSER) == {"status": "unknownOid"}
        assert venue.ask("orderStatus", oid=oid, user=STRANGER) == {"status": "unknownOid"}

    def test_the_liquidators_orders_are_unknown(self, venue: ReadVenue) -> None:
        closing = next(row for row in rows(venue.ask("userFills", user=LOSER)) if "liquidation" in row)
        assert venue.ask("orderStatus", oid=closing["oid"], user=LOSER) == {"status": "unknownOid"}

    def test_history_has_rejections_and_a_row_per_status(self, venue: ReadVenue) -> None:
        found = rows(venue.ask("historicalOrders"))
        times = [row["statusTimestamp"] for row in found]
        assert times == sorted(map(int, map(str, times)), reverse=True)
        told = {str(row["status"]) for row in found}
        assert told >= {"open", "filled", "canceled", "badAloPxRejected", "iocCancelRejected"}
        filled = [row for row in found if part(row, "order", "cloid") == CLOID]
        assert [(row["status"], part(row, "order", "sz")) for row in filled] == [("filled", "0.0"), ("open", "1.5")]

    def test_addresses_of_any_case_are_the_same(self, venue: ReadVenue) -> None:
        shouted = "0x" + TRADER[2:].upper()
        assert venue.ask("openOrders", user=shouted) == venue.ask("openOrders")
        assert part(venue.ask("activeAssetData", user=shouted, coin="BTC"), "user") == TRADER

    def test_strangers_have_nothing(self, venue: ReadVenue) -> None:
        for kind in ("openOrders", "frontendOpenOrders", "historicalOrders", "userFills"):
            assert venue.ask(kind, user=STRANGER) == []
        for kind in ("userFillsByTime", "userFunding", "userNonFundingLedgerUpdates"):
            assert venue.ask(kind, user=STRANGER, startTime=0) == []


class TestFills:
    def venue_with(self, fills: list[VenueFill]) -> ReadVenue:
        venue = ReadVenue()
        venue.trader.fills.extend(fills)
        return venue

    def times(self, venue: ReadVenue, kind: str = "userFillsByTime", **fields: object) -> list[object]:
        return [row["time"] for row in rows(venue.ask(kind, **fields))]

    def test_bounds_are_inclusive(self) -> None:
        venue = self.venue_with([fill(START_MS - back) for back in (3, 2, 1, 0)])
        assert self.times(venue, startTime=START_MS - 2, endTime=START_MS - 1) == [START_MS - 2, START_MS - 1]
        assert self.times(venue, startTime=START_MS - 1) == [START_MS - 1, START_MS]
        assert self.times(venue, startTime=START_MS + 1) == []

    def test_pages_start_at_the_oldest_and_reversed_at_the_newest(self) -> None:
        venue = self.venue_with([fill(START_MS - 2_500 + number, number) for number in range(2_500)])
        page = self.times(venue, startTime=0)
        assert (len(page), page[0], page[-1]) == (2_000, START_MS - 2_500, START_MS - 501)
        back = self.times(venue, startTime=0, reversed=True)
        assert (len(back), back[0], back[-1]) == (2_000, START_MS - 1, START_MS - 2_000)
        assert self.times(venue, "userFills") == back
        answer = venue.desk.answer({"type": "userFills", "user": TRADER}, START_MS)
        assert info_weight(answer.weight_type, answer.rows) == 20 + 100

    def test_the_newest_of_one_block_comes_first(self) -> None:
        venue = self.venue_with([fill(START_MS, oid=4, tid=1), fill(START_MS, oid=4, tid=2)])
        assert [row["tid"] for row in rows(venue.ask("userFills"))] == [2, 1]
        assert [row["tid"] for row in rows(venue.ask("userFillsByTime", startTime=0))] == [1, 2]

    def test_aggregation_is_real_and_comes_before_the_limit(self) -> None:
        venue = self.venue_with([fill(START_MS - 2_500 + number // 2, number // 2) for number in range(4_000)])
        merged = rows(venue.ask("userFillsByTime", startTime=0, aggregateByTime=True))
        assert len(merged) == 2_000 and {row["sz"] for row in merged} == {"2.0"}
        assert len(rows(venue.ask("userFills", aggregateByTime=True))) == 2_000

    def test_a_flip_and_a_liquidation_are_told_on_both_sides(self, venue: ReadVenue) -> None:
        told = {str(row["dir"]): row for row in rows(venue.ask("userFills"))}
        assert told["Long > Short"]["startPosition"] == "0.01"
        (ours,) = (row for row in rows(venue.ask("userFills")) if "liquidation" in row)
        (theirs,) = (row for row in rows(venue.ask("userFills", user=LOSER)) if row["tid"] == ours["tid"])
        assert ours["liquidation"] == theirs["liquidation"] and part(ours, "liquidation", "liquidatedUser") == LOSER
        assert (ours["crossed"], theirs["crossed"]) == (False, True)


class TestLag:
    def test_a_lagging_read_is_what_was_true_then(self) -> None:
        """What happened at the last two steps is not told yet: the answer is the one of the step before them."""
        venue = ReadVenue(lagging(2_500))
        plain = InfoDesk(venue.exchange, venue.market, venue.signers, venue.budget, VenueSettings())
        asked: list[dict[str, object]] = [
            {"type": "openOrders"},
            {"type": "frontendOpenOrders"},
            {"type": "historicalOrders"},
            {"type": "userFills"},
            {"type": "userFillsByTime", "startTime": 0},
            {"type": "orderStatus", "oid": CLOID},
        ]
        told: list[list[object]] = []
        for step in range(11):
            now_ms = venue.at(step * 1_000)
            for place, request in enumerate(asked):
                late = venue.desk.answer({**request, "user": TRADER}, now_ms).body
                empty: object = {"status": "unknownOid"} if "oid" in request else []
                assert late == (told[step - 3][place] if step >= 3 else empty), f"{request} before step {step}"
            self._step(venue, step)
            told.append([plain.answer({**each, "user": TRADER}, now_ms).body for each in asked])
        assert len({json.dumps(each) for each in told}) == 8, "steps 0 to 7 each changed something"

    def _step(self, venue: ReadVenue, step: int) -> None:
        buy, sell, exchange = Side.BUY, Side.SELL, venue.exchange
        match step:
            case 0:
                venue.place(spec(1, buy, "2700.4", "0.5", cloid=CLOID))
            case 1:  # fills the first order in part
                exchange.take(venue.flow, "ETH", sell, Decimal("3.9"), Decimal("2700.4"), TX)
            case 2:
                venue.place(spec(0, buy, "61000", "0.001", Tif.IOC), spec(0, buy, "61000", "0.001", Tif.ALO))
            case 3:
                exchange.cancel_by_cloid(venue.trader, 1, CLOID)
            case 4:
                venue.place(spec(1, buy, "2800", "0.1", Tif.IOC), spec(1, sell, "2750", "0.25", reduce_only=True))
            case 5:
                venue.place(spec(0, sell, "50000", "0.001", trigger=stop("59000"), reduce_only=True))
            case 6:
                exchange.set_marks({"BTC": Decimal(58_900)}, {"BTC": Decimal(58_900)})
            case 7:
                for order in list(venue.trader.orders.values()):
                    exchange.cancel(venue.trader, exchange.asset_of(order.coin), order.oid)
            case _:
                pass

    def test_an_order_of_a_moment_ago_is_unknown(self) -> None:
        venue = ReadVenue(lagging(1_500))
        venue.place(spec(0, Side.BUY, "55000", "0.01", cloid=CLOID))
        oid = next(iter(venue.trader.orders))
        for _ in range(2):
            assert venue.ask("orderStatus", oid=oid) == venue.ask("orderStatus", oid=CLOID) == {"status": "unknownOid"}
            assert venue.ask("openOrders") == [] == venue.ask("historicalOrders")
            venue.at(1_499)
        venue.at(1_500)
        assert part(venue.ask("orderStatus", oid=CLOID), "order", "order", "oid") == oid
        assert oids(venue.ask("openOrders")) == [oid]

    def test_a_reused_cloid_names_the_order_that_is_known(self) -> None:
        venue = ReadVenue(lagging(1_000))
        venue.place(spec(0, Side.BUY, "55000", "0.01", cloid=CLOID))
        first = next(iter(venue.trader.orders))
        venue.at(5_000)
        venue.exchange.cancel(venue.trader, 0, first)
        venue.place(spec(0, Side.BUY, "56000", "0.01", cloid=CLOID))
        assert part(venue.ask("orderStatus", oid=CLOID), "order", "order", "oid") == first
        venue.at(6_000)
        assert part(venue.ask("orderStatus", oid=CLOID), "order", "order", "oid") != first

    def test_balances_do_not_lag(self) -> None:
        venue = ReadVenue(lagging(60_000))
        venue.place(spec(0, Side.BUY, "60100", "0.01", Tif.IOC))
        assert len(rows(part(venue.ask("clearinghouseState"), "assetPositions"))) == 1
        assert venue.ask("userFills") == []

    def test_every_kind_of_order_is_as_it_was_without_lag(self) -> None:
        """After a quiet minute a lagging desk says what one without lag says."""
        late, prompt = busy_venue(lagging(60_000)), busy_venue()
        late.at(66_000)
        for kind in ("openOrders", "frontendOpenOrders", "historicalOrders", "userFills"):
            assert late.ask(kind) == prompt.ask(kind), kind
