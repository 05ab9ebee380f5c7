"""The local venue's `/info`: what is asked is answered as documented, what is no request is refused, nothing raises."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hyperliquid.info import Info  # type: ignore[import-untyped]
from hyperliquid.utils.types import Cloid  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.orders import Grouping, Status, Tif
from adapters.sim.venue.info.desk import InfoDesk
from adapters.sim.venue.info.market import funding_stamp_ms
from adapters.sim.venue.limits import AddressBudget, info_weight
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.market.market import Market
from adapters.sim.venue.settings import VenueSettings
from domain.candles import Interval
from domain.intents import Side
from tests.venue_desks import (
    AGENT,
    CLOID,
    LOSER,
    START_MS,
    TRADER,
    TX,
    ReadVenue,
    busy_venue,
    part,
    rows,
    spec,
)

UNREADABLE = "Failed to deserialize the JSON body into the target type"
HOUR_MS = 3_600_000
STRANGER = "0x" + "99" * 20
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def venue() -> ReadVenue:
    """Only read from."""
    return busy_venue()


class TestRefusals:
    @pytest.mark.parametrize(
        "request_",
        [
            *(None, [], "meta", 5, {}, {"type": 5}, {"type": ["meta"]}, {"type": "noSuchThing"}, {"type": None}),
            {"type": "meta", "dex": 5},
            {"type": "clearinghouseState"},
            {"type": "clearinghouseState", "user": "0x12"},
            {"type": "clearinghouseState", "user": "0x" + "zz" * 20},
            {"type": "clearinghouseState", "user": TRADER + "\n"},
            {"type": "clearinghouseState", "user": 17},
            {"type": "l2Book"},
            {"type": "l2Book", "coin": 5},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 6},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": "5"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5.0},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 3},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2},
            {"type": "l2Book", "coin": "BTC", "mantissa": 2},
            {"type": "candleSnapshot"},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "7m", "startTime": 0}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m"}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": "0"}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 0.0}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": True}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": -1}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 2**64}},
            {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": "9"}},
            {"type": "fundingHistory", "coin": "BTC"},
            {"type": "userFillsByTime", "user": TRADER},
            {"type": "userFillsByTime", "user": TRADER, "startTime": 0, "reversed": 1},
            {"type": "userFills", "user": TRADER, "aggregateByTime": "true"},
            {"type": "orderStatus", "user": TRADER},
            {"type": "orderStatus", "user": TRADER, "oid": "17"},
            {"type": "orderStatus", "user": TRADER, "oid": True},
            {"type": "orderStatus", "user": TRADER, "oid": -1},
            {"type": "orderStatus", "user": TRADER, "oid": "0x" + "0a" * 15},
            {"type": "marginTable", "id": "56"},
            {"type": "maxBuilderFee", "user": TRADER},
            {"type": "perpDexLimits"},
        ],
    )
    def test_what_fits_no_type_is_unreadable(self, venue: ReadVenue, request_: object) -> None:
        answer = venue.desk.answer(request_, START_MS)
        assert (answer.status, answer.body, answer.rows) == (422, UNREADABLE, 0)

    @pytest.mark.parametrize(
        "request_",
        [
            {"type": "meta", "dex": "nope"},
            {"type": "metaAndAssetCtxs", "dex": "nope"},
            {"type": "fundingHistory", "coin": "NOPE", "startTime": 0},
            {"type": "recentTrades", "coin": "btc"},
            {"type": "candleSnapshot", "req": {"coin": "NOPE", "interval": "1m", "startTime": 0}},
            {"type": "activeAssetData", "user": TRADER, "coin": "NOPE"},
            {"type": "marginTable", "id": 99},
            {"type": "perpDexStatus", "dex": "nope"},
        ],
    )
    def test_what_does_not_exist_is_null(self, venue: ReadVenue, request_: dict[str, object]) -> None:
        """Where it is recorded as a server's error it is one here (§1.2); anywhere else it is like `l2Book`'s."""
        status = 500 if request_["type"] in ("metaAndAssetCtxs", "fundingHistory") else 200
        answer = venue.desk.answer(request_, START_MS)
        assert (answer.status, answer.body, answer.weight_type) == (status, None, request_["type"])

    def test_a_book_of_nothing_is_null(self, venue: ReadVenue) -> None:
        assert venue.ask("l2Book", coin="NOPE") is None

    def test_other_dexes_are_empty_where_an_account_is_asked(self, venue: ReadVenue) -> None:
        state = venue.ask("clearinghouseState", dex="xyz")
        assert part(state, "assetPositions") == [] and part(state, "marginSummary", "accountValue") == "0.0"
        assert venue.ask("openOrders", dex="xyz") == [] == venue.ask("frontendOpenOrders", dex="xyz")
        assert venue.ask("allMids", dex="xyz") == {}
        assert venue.ask("perpsAtOpenInterestCap", dex="xyz") == []

    def test_extra_keys_and_nulls_do_no_harm(self, venue: ReadVenue) -> None:
        assert venue.ask("meta", dex=None, vip=True) == venue.ask("meta")
        book = venue.ask("l2Book", coin="BTC", nSigFigs=None, mantissa=None, fast=True)
        assert book == venue.ask("l2Book", coin="BTC")
        whole = venue.ask("userFillsByTime", startTime=0, endTime=None, aggregateByTime=False, reversed=None)
        assert whole == venue.ask("userFillsByTime", startTime=0)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["BTC", "HYPE", TRADER, STRANGER, LOSER, CLOID, "1m", "1w", "1M", "xyz", "", 0, 1, 2, 5, START_MS]),
    st.lists(st.integers(0, 3), max_size=2),
)
FIELDS = ("user", "coin", "dex", "oid", "startTime", "endTime", "interval", "nSigFigs", "mantissa", "id", "reversed")
SHARED = busy_venue()


@given(
    kind=st.sampled_from(sorted(SHARED.desk.types)),
    fields=st.dictionaries(st.sampled_from((*FIELDS, "aggregateByTime", "builder", "vaultAddress")), ODD),
    inner=st.one_of(ODD, st.dictionaries(st.sampled_from(FIELDS), ODD)),
)
def test_nothing_that_is_sent_raises(kind: str, fields: dict[str, object], inner: object) -> None:
    # What is most often needed is there, so that the rest is reached; odd values overwrite it.
    whole: dict[str, object] = {"user": TRADER, "coin": "BTC", "startTime": START_MS - HOUR_MS, "req": inner}
    if kind == "candleSnapshot" and isinstance(inner, dict):
        whole["req"] = {"coin": "BTC", "interval": "1d", "startTime": START_MS - HOUR_MS, **inner}
    answer = SHARED.desk.answer({**whole, **fields, "type": kind}, SHARED.exchange.now_ms)
    assert answer.status in (200, 422, 500)
    json.dumps(answer.body)


class TestMarketData:
    def test_meta_and_contexts_belong_together(self, venue: ReadVenue) -> None:
        meta, contexts = rows(venue.ask("metaAndAssetCtxs"))
        assert meta == venue.ask("meta") and rows(venue.ask("allPerpMetas")) == [meta]
        universe = rows(part(meta, "universe"))
        assert len(universe) == len(contexts) == 5
        assert universe[2]["isDelisted"] is True and rows(contexts)[2]["midPx"] is None

    def test_a_coin_delisted_later_says_so(self) -> None:
        venue = ReadVenue()
        venue.exchange.delist("HYPE")
        assert rows(part(venue.ask("meta"), "universe"))[3]["isDelisted"] is True
        venue.exchange.capped.update({"kPEPE", "BTC"})
        assert venue.ask("perpsAtOpenInterestCap") == ["BTC", "kPEPE"]

    def test_mids_fall_back_to_the_last_trade_and_then_the_mark(self, venue: ReadVenue) -> None:
        mids = venue.ask("allMids")
        assert mids == {"BTC": "60000.0", "ETH": "2700.5", "HYPE": "37.83", "MATIC": "0.37", "kPEPE": "0.0123"}
        bare = ReadVenue()
        for order in list(bare.exchange.books["BTC"].orders()):
            bare.exchange.shrink_house(order, Decimal(0))
        assert part(bare.ask("allMids"), "BTC") == "60000.0"
        bare.market.printed = [each for each in venue.market.printed if each.coin == "BTC"]
        assert part(bare.ask("allMids"), "BTC") == "59999.0"

    def test_a_book_shows_users_and_house(self, venue: ReadVenue) -> None:
        book = venue.ask("l2Book", coin="BTC")
        assert isinstance(book, dict) and list(book) == ["coin", "time", "levels"]
        bids, asks = rows(book["levels"])
        assert [level["px"] for level in rows(bids)][:2] == ["59999.0", "59998.0"]
        assert {"px": "55000.0", "sz": "0.01", "n": 1} in rows(bids) and rows(asks)[0]["px"] == "60001.0"
        assert book["time"] == venue.exchange.now_ms

    def test_an_aggregated_book_tells_the_plain_spread(self, venue: ReadVenue) -> None:
        book = venue.ask("l2Book", coin="BTC", nSigFigs=2)
        assert part(book, "spread") == "2.0" and rows(rows(part(book, "levels"))[0])[0]["px"] == "59000.0"

    def test_funding_history_is_hourly_and_bounded(self, venue: ReadVenue) -> None:
        now_ms = venue.exchange.now_ms
        found = rows(venue.ask("fundingHistory", coin="BTC", startTime=START_MS - 5 * HOUR_MS))
        times = [row["time"] for row in found]
        assert [int(str(each)) // HOUR_MS * HOUR_MS for each in times] == [
            START_MS - back * HOUR_MS for back in range(5, -1, -1)
        ]
        assert all(1 <= int(str(each)) % HOUR_MS <= 118 for each in times)
        assert {(row["fundingRate"], row["premium"]) for row in found} == {
            ("0.0000125", "0.0"),
            ("-0.0000032", "-0.0005256"),
        }
        # Both ends are inclusive, and nothing is told before it was paid.
        first = times[0]
        assert [
            row["time"] for row in rows(venue.ask("fundingHistory", coin="BTC", startTime=first, endTime=first))
        ] == [first]
        early = venue.desk.answer({"type": "fundingHistory", "coin": "BTC", "startTime": START_MS}, START_MS)
        assert early.body == []
        long = venue.desk.answer({"type": "fundingHistory", "coin": "BTC", "startTime": 0}, now_ms)
        assert long.rows == 500 and info_weight(long.weight_type, long.rows) == 20 + 25

    def test_payments_are_stamped_1_to_118_ms_late(self) -> None:
        assert {funding_stamp_ms(hour * HOUR_MS) - hour * HOUR_MS for hour in range(5_000)} == set(range(1, 119))

    def test_predicted_fundings_are_of_the_next_hour(self, venue: ReadVenue) -> None:
        found = venue.ask("predictedFundings")
        assert isinstance(found, list) and [each[0] for each in found] == ["BTC", "ETH", "HYPE", "kPEPE"]
        assert found[0][1][1] == [
            "HlPerp",
            {"fundingRate": "0.0000125", "nextFundingTime": START_MS + HOUR_MS, "fundingIntervalHours": 1},
        ]

    def test_there_is_one_dex_and_one_token(self, venue: ReadVenue) -> None:
        assert venue.ask("perpDexs") == [None]
        assert part(venue.ask("spotMeta"), "universe") == []
        assert rows(part(venue.ask("spotMeta"), "tokens"))[0]["name"] == "USDC"
        assert venue.ask("spotMetaAndAssetCtxs") == [venue.ask("spotMeta"), []]

    def test_special_phases_show(self) -> None:
        venue = ReadVenue()
        assert venue.ask("exchangeStatus") == {"time": START_MS, "specialStatuses": None}
        venue.desk.special_status = "postOnly"
        assert part(venue.ask("exchangeStatus"), "specialStatuses") == "postOnly"


class TestCandles:
    def ask(self, venue: ReadVenue, now_ms: int = START_MS + 90_000, **req: object) -> list[dict[str, object]]:
        answer = venue.desk.answer({"type": "candleSnapshot", "req": {"coin": "BTC", **req}}, now_ms)
        assert answer.status == 200 and isinstance(answer.body, list)
        assert info_weight(answer.weight_type, answer.rows) == 20 + len(answer.body) // 60
        return rows(answer.body)

    def test_the_bucket_of_the_start_and_the_running_one_are_there(self) -> None:
        found = self.ask(ReadVenue(), interval="1m", startTime=START_MS - 30_000)
        assert [row["t"] for row in found] == [START_MS - 60_000, START_MS, START_MS + 60_000]
        assert found[0]["T"] == START_MS - 1 and found[0]["i"] == "1m"

    def test_nothing_after_now_and_nothing_backwards(self) -> None:
        venue = ReadVenue()
        late = self.ask(venue, interval="1m", startTime=START_MS, endTime=START_MS + HOUR_MS)
        assert [row["t"] for row in late] == [START_MS, START_MS + 60_000]
        assert self.ask(venue, interval="1m", startTime=START_MS + HOUR_MS) == []
        assert self.ask(venue, interval="1m", startTime=START_MS, endTime=START_MS - 1) == []

    @pytest.mark.parametrize("interval", [each.value for each in Interval])
    def test_at_most_the_newest_5000(self, interval: str) -> None:
        venue = ReadVenue()
        found = self.ask(venue, interval=interval, startTime=0)
        assert len(found) == 5_000
        length = int(str(found[1]["t"])) - int(str(found[0]["t"]))
        assert found[-1]["t"] == (START_MS + 90_000) // length * length
        # What is older is gone, and the market is not troubled with it.
        asked = len(venue.market.asked)
        assert self.ask(venue, interval=interval, startTime=0, endTime=int(str(found[0]["t"])) - 1) == []
        assert len(venue.market.asked) == asked

    def test_longer_candles_are_folded_from_days(self) -> None:
        venue = ReadVenue()
        weeks = self.ask(venue, interval="1w", startTime=START_MS - 8 * DAY_MS)
        assert all((int(str(row["t"])) // DAY_MS - 4) % 7 == 0 for row in weeks)
        assert [int(str(row["T"])) - int(str(row["t"])) + 1 for row in weeks] == [7 * DAY_MS] * len(weeks)
        assert weeks[0]["n"] == 21 and weeks[0]["v"] == "36.75" and weeks[-1]["T"] >= START_MS  # type: ignore[operator]
        # START_MS lies on 2026-10-06.
        months = self.ask(venue, interval="1M", startTime=START_MS - 30 * DAY_MS)
        assert [(row["n"], row["i"]) for row in months] == [(90, "1M"), (18, "1M")]
        triples = self.ask(venue, interval="3d", startTime=START_MS, endTime=START_MS)
        assert len(triples) == 1 and int(str(triples[0]["t"])) % (3 * DAY_MS) == 0
        assert self.ask(venue, interval="1M", startTime=0, endTime=DAY_MS) == []


class DeskSession(Info):  # type: ignore[misc]
    """The official SDK's queries, answered by the desk instead of over the network."""

    def __init__(self, venue: ReadVenue) -> None:
        self.venue = venue
        self.asked: list[str] = []
        super().__init__("http://localhost", skip_ws=True)

    def post(self, url_path: str, payload: object = None) -> object:
        assert url_path == "/info" and isinstance(payload, Mapping)
        self.asked.append(str(payload["type"]))
        answer = self.venue.desk.answer(json.loads(json.dumps(payload)), self.venue.exchange.now_ms)
        assert answer.status == 200, f"{payload} was answered with {answer}"
        return answer.body


def test_every_query_of_the_sdk_is_answered() -> None:
    session = DeskSession(busy_venue())
    assert session.asked == ["spotMeta", "meta"] and session.name_to_asset("HYPE") == 3
    values: dict[str, object] = {
        "address": TRADER,
        "user": TRADER,
        "multi_sig_user": TRADER,
        "name": "BTC",
        "interval": "1h",
        "startTime": START_MS - HOUR_MS,
        "start_time": START_MS - HOUR_MS,
        "endTime": START_MS,
        "oid": 1_000_025,
        "cloid": Cloid(CLOID),
        "dex": "",
    }
    local = {"post", "subscribe", "unsubscribe", "disconnect_websocket", "name_to_asset", "set_perp_meta"}
    names = [name for name, _ in inspect.getmembers(Info, inspect.isfunction) if not name.startswith("_")]
    for name in sorted(set(names) - local):
        method = getattr(session, name)
        needed = [
            each.name
            for each in inspect.signature(method).parameters.values()
            if each.default is inspect.Parameter.empty
        ]
        before = len(session.asked)
        method(**{each: values[each] for each in needed})
        assert len(session.asked) == before + 1, f"{name} asks nothing"
    assert len(set(session.asked)) >= 37


def test_an_sdk_with_builder_dexes_finds_none() -> None:
    session = DeskSession(ReadVenue())
    assert session.perp_dexs()[1:] == []


def test_the_real_market_answers_everything() -> None:
    start_ms = START_MS + 30_000
    path = GeneratedPath(7, 4)
    settings = VenueSettings()
    exchange = Exchange(path.instruments(), settings, start_ms)
    market = Market(path, exchange, 7, start_ms)
    desk = InfoDesk(
        exchange, market, Signers(exchange.accounts, settings, start_ms), AddressBudget(settings.limits), settings
    )
    account = exchange.open_account(TRADER, cash=Decimal(10_000))
    now_ms = start_ms + 90_000
    market.advance(now_ms)
    coin = path.instruments()[0].symbol
    market.sync(coin)
    top = market.top(coin)
    assert top.ask_px is not None
    exchange.place(account, [spec(0, Side.BUY, top.ask_px.removesuffix(".0"), "0.01", Tif.IOC)], Grouping.NA, TX)
    market.see(exchange.take_events())
    assert next(iter(account.history.values())).status in (Status.FILLED, Status.CANCELED)
    for kind in sorted(desk.types):
        fields: dict[str, object] = {"user": TRADER, "coin": coin, "startTime": now_ms - HOUR_MS, "oid": 17, "id": 56}
        fields |= {"builder": AGENT, "vaultAddress": AGENT, "dex": ""}
        for interval in ("1m", "1h", "1w"):
            fields["req"] = {"coin": coin, "interval": interval, "startTime": now_ms - HOUR_MS}
            answer = desk.answer({"type": kind, **fields}, now_ms)
            assert answer.status == 200, f"{kind}: {answer}"
            json.dumps(answer.body)
            if kind != "candleSnapshot":
                break
            assert answer.rows >= 1
    book = desk.answer({"type": "l2Book", "coin": coin, "nSigFigs": 5, "mantissa": 2}, now_ms).body
    assert part(book, "coin") == coin and "spread" in str(book)
