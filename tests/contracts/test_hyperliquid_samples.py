"""Everything that was ever recorded of the venue decodes to the right values, row for row."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.hyperliquid import cash_flows, wire_account, wire_orders, wire_rest
from adapters.hyperliquid.heard import (
    Acked,
    BboHeard,
    BookHeard,
    CandleHeard,
    ContextHeard,
    DecodeError,
    Drifted,
    FillsHeard,
    FundingsHeard,
    Ignored,
    LedgerHeard,
    MidsHeard,
    OrderUpdatesHeard,
    Pong,
    Posted,
    StatusKind,
    TradesHeard,
    UserEventsHeard,
    VenueError,
)
from adapters.hyperliquid.key_watch import KNOWN, keys_in
from adapters.hyperliquid.outcomes import action_problem, cancel_problems, order_outcome
from adapters.hyperliquid.transport import HttpReply
from adapters.hyperliquid.wire_frames import decode_frame
from domain.candles import Interval
from domain.events import FundingPaid
from domain.fills import Fill, FillCause
from domain.instruments import MarginTier
from domain.intents import OrderRequest, Side, TimeInForce
from tests.hyperliquid_frames import OWN, recorded_frames, sample_frames, universe

Answer = tuple[dict[str, Any], Any]

KNOWN_COINS = universe()
GONE_KEYS = {"assetPositions[].position.maxTradeSzs"}
"""The venue sent it in 2023."""


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    folder = shared_data.parent / "hyperliquid-samples"
    if not folder.is_dir():
        pytest.skip(f"no sample payloads: {folder} is not there")
    return folder


@pytest.fixture(scope="module")
def account(shared_data: Path) -> Path:
    folder = shared_data / "account"
    if not folder.is_dir():
        pytest.skip(f"no recorded account data: {folder} is not there")
    return folder


@pytest.fixture(scope="module")
def frames(shared_data: Path, samples: Path) -> list[tuple[str, str]]:
    if not (shared_data / "ws").is_dir():
        pytest.skip(f"no recorded frames: {shared_data / 'ws'} is not there")
    return list(recorded_frames(shared_data))


def _sample(samples: Path, name: str) -> bytes:
    return json.dumps(json.loads((samples / name).read_text("utf-8"))["response"]).encode()


def _frame(samples: Path, name: str, place: int) -> str:
    return sample_frames(samples, name)[place]


# ── every frame ──────────────────────────────────────────────────────────────────────────────


def test_every_recorded_frame_decodes_to_its_kind(frames: list[tuple[str, str]]) -> None:
    kinds: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for name, raw in frames:
        heard = decode_frame(raw, KNOWN_COINS)
        assert not isinstance(heard, Drifted), f"{name}: {heard}: {raw[:300]}"
        kinds[f"ignored {heard.channel}" if isinstance(heard, Ignored) else type(heard).__name__] += 1
        if isinstance(heard, (OrderUpdatesHeard, UserEventsHeard, FillsHeard, FundingsHeard)):
            skipped[type(heard).__name__] += heard.skipped
    assert {kind: count for kind, count in kinds.items() if not kind.startswith("ignored")} == {
        "TradesHeard": 685,
        "BookHeard": 170,
        "Acked": 16,
        "UserEventsHeard": 8,
        "BboHeard": 5,
        "ContextHeard": 4,
        "CandleHeard": 3,
        "OrderUpdatesHeard": 3,
        "VenueError": 2,
        "MidsHeard": 1,
        "Pong": 1,
        "Posted": 1,
        "FundingsHeard": 1,
        "LedgerHeard": 1,
        "FillsHeard": 1,
    }
    # Builder dexes and spot: set aside, not lost.
    assert (kinds["ignored trades"], kinds["ignored l2Book"], kinds["ignored bbo"]) == (264, 172, 2)
    assert +skipped == Counter({"OrderUpdatesHeard": 4, "UserEventsHeard": 2, "FillsHeard": 1})


def test_no_recorded_frame_has_a_key_that_the_sentinel_would_report(frames: list[tuple[str, str]]) -> None:
    for name, raw in frames:
        if isinstance(decode_frame(raw, KNOWN_COINS), Ignored):
            continue
        envelope = json.loads(raw)
        strange = set(keys_in(envelope.get("data"))) - KNOWN.get(
            envelope["channel"], set(keys_in(envelope.get("data")))
        )
        assert not strange, f"{name}: {strange}"


def test_market_frames(samples: Path) -> None:
    name = "ws_bbo_trades_candle_ctx_BTC.json"
    assert decode_frame(_frame(samples, name, 0), KNOWN_COINS) == BboHeard("BTC", 1790232237145, 84143.0, 84144.0)
    trades = decode_frame(_frame(samples, name, 1), KNOWN_COINS)
    assert isinstance(trades, TradesHeard)
    assert (trades.coin, trades.trades[0].side, trades.trades[0].price, trades.trades[0].size) == (
        "BTC",
        Side.SELL,
        84143.0,
        0.00036,
    )
    assert decode_frame(_frame(samples, name, 2), KNOWN_COINS) == CandleHeard(
        "BTC", Interval.M1, 1790232180000, 1790232239999, 84143.0, 84144.0, 84143.0, 84143.0, 14.27847
    )
    assert decode_frame(_frame(samples, name, 3), KNOWN_COINS) == ContextHeard(
        "BTC", 0.0000018952, 84148.0, 84198.0, 84143.5, 36585.31848
    )
    daily = decode_frame(_frame(samples, "ws_candle_HYPE_1d.json", 1), KNOWN_COINS)
    assert daily == CandleHeard(
        "HYPE", Interval.D1, 1764806400000, 1764892799999, 34.668, 36.219, 34.251, 34.868, 3495670.84
    )
    book = decode_frame(_frame(samples, "ws_l2Book_HYPE.json", 1), KNOWN_COINS)
    assert book == BookHeard(
        "HYPE", 1764842873555, ((34.967, 2.85), (34.962, 3.84)), ((34.969, 1473.06), (34.97, 1544.51))
    )
    delisted = decode_frame(_frame(samples, "ws_l2Book_BTC_kPEPE_xyz_delisted.json", 4), KNOWN_COINS)
    assert delisted == BookHeard("MATIC", 1790232237073, (), ())


def test_one_sided_quotes_and_mid_prices(samples: Path, shared_data: Path) -> None:
    spot_too = universe("BTC", "@107", "SOL")
    name = "ws_allMids_spotCtx_books.json"
    assert decode_frame(_frame(samples, name, 0), KNOWN_COINS) == MidsHeard({"BTC": 85801.5})
    assert decode_frame(_frame(samples, name, 1), KNOWN_COINS) == Ignored("allMids")
    assert decode_frame(_frame(samples, name, 4), spot_too) == BboHeard("@107", 1791279271233, None, 92.638)
    quotes = [decode_frame(raw, KNOWN_COINS) for file, raw in recorded_frames(shared_data) if "single" in file]
    assert BboHeard("BTC", 1750948919838, 107575.0, None) in quotes


def test_connection_frames(samples: Path) -> None:
    heard = [decode_frame(raw, KNOWN_COINS) for raw in sample_frames(samples, "ws_errors_ping_post.json")]
    pong, already, refused, unsubscribed, posted = heard
    assert pong == Pong()
    assert isinstance(already, VenueError) and already.text.startswith('Already subscribed: {"type":"l2Book"')
    assert isinstance(refused, VenueError)
    assert isinstance(unsubscribed, Acked)
    assert (unsubscribed.method, unsubscribed.key) == ("unsubscribe", "l2Book:coin=BTC:nSigFigs=5")
    assert posted == Posted(7, True, "info", b"null")


def test_account_frames(samples: Path) -> None:
    updates, funding, canceled, fundings, ledger, *_ = (
        decode_frame(raw, KNOWN_COINS) for raw in sample_frames(samples, "ws_user_event_streams.json")
    )
    assert updates == OrderUpdatesHeard((), skipped=3)
    btc = FundingPaid("BTC", 1791280800037, Decimal("0.55919"), Decimal("0.0000125"), Decimal("-0.601087"))
    assert funding == UserEventsHeard(fundings=(btc,))
    assert canceled == UserEventsHeard(canceled=(("PNUT", 566615769247),))
    assert isinstance(fundings, FundingsHeard) and fundings.is_snapshot
    assert [row.amount_usd for row in fundings.fundings] == [Decimal("-2.38878"), Decimal("0.238633")]
    assert isinstance(ledger, LedgerHeard)
    assert [(row.kind, row.amount_usd) for row in ledger.rows] == [
        ("deposit", Decimal("200079.847397")),
        ("liquidation", None),
    ]


# ── fills ────────────────────────────────────────────────────────────────────────────────────


def test_a_flip_with_a_builder_fee_is_one_fill_with_the_whole_fee(samples: Path) -> None:
    heard = decode_frame(_frame(samples, "ws_user_fill_flip_builderFee.json", 0), KNOWN_COINS)
    assert isinstance(heard, UserEventsHeard)
    assert heard.fills == (
        Fill(
            symbol="BTC",
            side=Side.SELL,
            price=Decimal("79146.0"),
            size=Decimal("0.001"),
            time_ms=1769940855551,
            tid=404237815023429,
            oid=308254271324,
            cloid="0x50663504b0f4fedea00080176229d94f",
            fee=Decimal("0.019785"),
            start_position=Decimal("0.00093"),
            hash="0x5f8b9c337a197c4061050434769793020e020019151c9b1203544786391d562b",
            crossed=False,
        ),
    )


def test_a_liquidation_is_ours_only_if_it_names_us(samples: Path) -> None:
    raw = _frame(samples, "ws_user_fill_liquidation.json", 0)
    for own, is_ours in ((None, False), ("0x" + "12" * 20, False), (OWN, True), (OWN.upper().replace("X", "x"), True)):
        heard = decode_frame(raw, KNOWN_COINS, own)
        assert isinstance(heard, UserEventsHeard)
        assert [fill.cause is FillCause.LIQUIDATION for fill in heard.fills] == [is_ours]


def test_spot_fills_are_set_aside(samples: Path) -> None:
    for name, place in (("ws_user_fill_spot_buy.json", 0), ("ws_userEvents_spot_fill.json", 1)):
        assert decode_frame(_frame(samples, name, place), KNOWN_COINS) == UserEventsHeard(skipped=1)
    dust = wire_orders.decode_fills(_sample(samples, "rest_userFills_dust.json"), None)
    assert [fill.symbol for fill in dust.fills] == ["ARB", "JUP", "MANTA"]
    assert dust.skipped == 2


def test_fills_of_every_age(samples: Path) -> None:
    old = wire_orders.decode_fills(_sample(samples, "rest_userFills_2023.json"), None)
    again = wire_orders.decode_fills(_sample(samples, "rest_userFills_2023.json"), None)
    assert len({fill.trade_id for fill in old.fills}) == len(old.fills) == 12
    assert old == again  # the stand-in for a missing tid is the same every time
    assert all(fill.tid >= 1 << 62 for fill in old.fills)  # and never one of the venue's own
    rich, rebate = wire_orders.decode_fills(_sample(samples, "rest_userFills_2026.json"), None).fills
    assert (rich.cloid, rich.fee, rich.cause) == (
        "0x59a57a0cd0915cb026713c7c048e511d",
        Decimal("0.018567"),
        FillCause.TWAP,
    )
    assert (rebate.price, rebate.fee, rebate.hash) == (
        Decimal("85791.2407407407"),
        Decimal("-0.000463"),
        "0x" + "0" * 64,
    )


def test_every_fill_of_the_venue_in_fifty_seconds(account: Path) -> None:
    rows: list[dict[str, Any]] = []
    with gzip.open(account / "hl_node_fills_by_block_20251027_1700_part1.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            rows.extend(row for _, row in json.loads(line)["events"])
    found = wire_orders.decode_fills(json.dumps(rows).encode(), None)
    assert (len(found.fills), found.skipped) == (3888, 440)
    ours = [row for row in rows if "@" not in row["coin"] and "/" not in row["coin"] and ":" not in row["coin"]]
    for row, fill in zip(ours, found.fills, strict=True):
        assert (str(fill.price), str(fill.size), str(fill.fee)) == (row["px"], row["sz"], row["fee"])
        assert fill.start_position is not None
        if str(fill.start_position) != row["startPosition"]:  # the noise of the venue's floats is taken out
            assert abs(fill.start_position - Decimal(row["startPosition"])) < Decimal("1E-9")
        assert (fill.tid, fill.oid, fill.time_ms) == (row["tid"], row["oid"], row["time"])
        assert fill.side is (Side.BUY if row["side"] == "B" else Side.SELL)
        assert (fill.crossed, fill.cloid) == (row["crossed"], row.get("cloid"))
    assert sum(fill.hash == "0x" + "0" * 64 for fill in found.fills) == sum(
        row["hash"] == "0x" + "0" * 64 for row in ours
    )


def test_wallets_with_builder_dexes(account: Path) -> None:
    counts = []
    with gzip.open(account / "hl_userFillsByTime_copytrade_202607.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            found = wire_orders.decode_fills(json.dumps(json.loads(line)["fills"]).encode(), None)
            counts.append((len(found.fills), found.skipped))
    assert counts == [(122, 0), (647, 0), (37, 346), (833, 0), (2, 0), (3, 0), (4, 48), (72, 0)]


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def _asset_settings(request: dict[str, Any], body: bytes) -> object:
    return wire_account.decode_asset_settings(body)


DECODERS: dict[str, Callable[[dict[str, Any], bytes], object]] = {
    "userFills": lambda request, body: wire_orders.decode_fills(body, None),
    "userFillsByTime": lambda request, body: wire_orders.decode_fills(body, None),
    "userFunding": lambda request, body: wire_orders.decode_fundings(body),
    "openOrders": lambda request, body: wire_orders.decode_open_orders(body),
    "frontendOpenOrders": lambda request, body: wire_orders.decode_open_orders(body),
    "orderStatus": lambda request, body: wire_orders.decode_order_status(body),
    "historicalOrders": lambda request, body: wire_orders.decode_order_history(body),
    "userNonFundingLedgerUpdates": lambda request, body: cash_flows.decode_ledger(body),
    "clearinghouseState": lambda request, body: wire_account.decode_account_state(body),
    "spotClearinghouseState": lambda request, body: wire_account.decode_spot_state(body),
    "userRole": lambda request, body: wire_account.decode_user_role(body),
    "extraAgents": lambda request, body: wire_account.decode_extra_agents(body),
    "userRateLimit": lambda request, body: wire_account.decode_rate_limit(body),
    "userFees": lambda request, body: wire_account.decode_fee_rates(body),
    "activeAssetData": _asset_settings,
    "meta": lambda request, body: wire_rest.decode_meta(body),
    "metaAndAssetCtxs": lambda request, body: wire_rest.decode_meta_and_contexts(body),
    "allMids": lambda request, body: wire_rest.decode_all_mids(body),
    "fundingHistory": lambda request, body: wire_rest.decode_funding_history(body, request["coin"]),
    "candleSnapshot": lambda request, body: wire_rest.decode_candles(
        body, request["req"]["coin"], Interval(request["req"]["interval"])
    ),
}


def _answers(samples: Path, account: Path) -> Iterator[Answer]:
    for path in sorted(samples.glob("rest_*.json")):
        document = json.loads(path.read_text("utf-8"))
        yield document["request"], document["response"]
    for name in ("hl_info_vcr_python_sdk_2023_2025", "hl_info_exchange_vcr_go_2025"):
        with gzip.open(account / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                yield document["request"], document["response"]
    wallet = _wallet(account)
    for kind in ("historicalOrders", "userFillsByTime", "userFunding"):
        yield {"type": kind}, wallet[kind]
    for kind in ("clearinghouseState", "frontendOpenOrders"):
        for snapshot in wallet[f"{kind}_snapshots"]:
            yield {"type": kind}, snapshot["response"]


def _wallet(account: Path) -> dict[str, Any]:
    path = account / "hl_wallet_0xdae4_orders_fills_funding_to_20260601.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        document = json.load(file)
    assert isinstance(document, dict)
    return document


def test_every_recorded_answer_decodes(samples: Path, account: Path) -> None:
    decoded: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for request, response in _answers(samples, account):
        kind = request.get("type", "")
        decoder = DECODERS.get(kind)
        if decoder is None:
            continue
        answer = decoder(request, json.dumps(response).encode())
        decoded[kind] += 1
        skipped[kind] += getattr(answer, "skipped", 0)
        if kind in KNOWN:
            assert set(keys_in(response)) - KNOWN[kind] <= GONE_KEYS, kind
    assert set(decoded) == set(DECODERS)
    assert sum(decoded.values()) == 99
    # Fills of spot, payments that were rolled up, an order on spot, and the coins of a builder's dex.
    assert +skipped == Counter({"userFills": 2, "userFunding": 379, "openOrders": 1, "meta": 2})


def test_actions(samples: Path, account: Path) -> None:
    done: Counter[str] = Counter()
    cases = json.loads((samples / "exchange_responses_mock.json").read_text("utf-8"))["cases"]
    answers = [(case["request_action"]["type"], case["response"]) for case in cases]
    with gzip.open(account / "hl_info_exchange_vcr_go_2025.jsonl.gz", "rt", encoding="utf-8") as file:
        recorded = [json.loads(line) for line in file]
    answers += [(r["request"]["action"]["type"], r["response"]) for r in recorded if "action" in r["request"]]
    for kind, response in answers:
        if kind in ("twapOrder", "twapCancel", "perpDeploy"):  # never sent by us; the last ones are made up
            continue
        reply = HttpReply(200, json.dumps(response).encode())
        count = len(_statuses_in(response)) or 1
        if kind in ("cancel", "cancelByCloid"):
            done.update("canceled" if problem is None else "not canceled" for problem in cancel_problems(reply, count))
        elif kind == "order":
            for status in _statuses_in(response) or [None]:
                alone = HttpReply(200, json.dumps(_with_only(response, status)).encode())
                done[type(order_outcome(alone, _request(status))).__name__] += 1
        else:
            done["done" if action_problem(reply) is None else "not done"] += 1
    assert done == Counter(EXPECTED_OUTCOMES)


EXPECTED_OUTCOMES = {
    "Accepted": 9,
    "Rejected": 3,
    "Unknown": 4,  # two TP/SL children, which we never send, and two refusals of the whole action
    "canceled": 5,
    "not canceled": 4,
    "done": 4,
    "not done": 1,
}


def _statuses_in(response: Any) -> list[Any]:
    inner = response.get("response")
    data = inner.get("data") if isinstance(inner, dict) else None
    return data["statuses"] if isinstance(data, dict) and "statuses" in data else []


def _with_only(response: Any, status: Any) -> Any:
    """The answer as it would be to that order alone: we send one per action. Without entries it stays as it is."""
    if status is None:
        return response
    inner = response["response"]
    return response | {"response": inner | {"data": inner["data"] | {"statuses": [status]}}}


def _request(status: Any) -> OrderRequest:
    """An order that such an entry may answer."""
    said = next(iter(status.values()), None) if isinstance(status, dict) else None
    cloid = said.get("cloid") if isinstance(said, dict) else None
    return OrderRequest(
        cloid=cloid or "0x" + 32 * "0",
        intent_id="sample",
        symbol="BTC",
        side=Side.BUY,
        size=Decimal(1_000_000),
        limit_price=Decimal(1),
        time_in_force=TimeInForce.GTC,
        reduce_only=False,
        trigger=None,
        leverage=Decimal(1),
    )


def test_positions_crossed_and_isolated(samples: Path) -> None:
    isolated = wire_account.decode_account_state(_sample(samples, "rest_clearinghouseState_isolated_HYPE.json"))
    (hype,) = isolated.positions
    assert hype == wire_account.VenuePosition(
        coin="HYPE",
        size=Decimal("2.0"),
        leverage=10,
        isolated_cash_usd=Decimal("-68.126246"),
        entry_price=Decimal("37.829"),
        liquidation_price=Decimal("35.8559189474"),
        margin_used_usd=Decimal("7.525754"),
        value_usd=Decimal("75.652"),
        unrealized_usd=Decimal("-0.006"),
    )
    assert not hype.is_cross
    assert (isolated.equity_usd, isolated.cash_usd) == (Decimal("83.307638"), Decimal("83.313638"))
    assert isolated.time_ms == 1754467216357
    crossed = wire_account.decode_account_state(_sample(samples, "rest_clearinghouseState_cross_2023.json"))
    assert all(position.is_cross for position in crossed.positions)
    by_coin = {position.coin: position for position in crossed.positions}
    assert (by_coin["BTC"].size, by_coin["ETH"].liquidation_price) == (Decimal("-0.00785"), None)
    empty = wire_account.decode_account_state(_sample(samples, "rest_clearinghouseState_empty_dex.json"))
    assert (empty.positions, empty.cash_usd) == ((), Decimal(0))


def test_a_unified_account_keeps_its_collateral_in_spot(samples: Path) -> None:
    state = json.loads(_frame(samples, "ws_user_state_streams.json", 3))["data"]["spotState"]
    spot = wire_account.decode_spot_state(json.dumps(state).encode())
    assert spot.usdc == Decimal("100508.11272667")
    assert spot.balances["VAULT"] == (Decimal("0.95437326"), Decimal("0.5"))
    assert wire_account.keeps_collateral_in_spot(wire_account.decode_abstraction(b'"unifiedAccount"'))


def test_settings_rights_and_limits(samples: Path) -> None:
    settings = wire_account.decode_asset_settings(_sample(samples, "rest_activeAssetData.json"))
    assert (settings.coin, settings.leverage, settings.is_cross) == ("BTC", 20, True)
    assert settings.max_sizes == (Decimal("0.58142"), Decimal("0.55821"))
    assert wire_account.decode_user_role(_sample(samples, "rest_userRole_vault.json")) == wire_account.UserRole(
        "vault", None
    )
    assert wire_account.decode_extra_agents(_sample(samples, "rest_extraAgents.json"))[0] == wire_account.Agent(
        "ok", "0x286edfa08c04f6899dab3bfdecf2dd133f9733b9", 1767776120478
    )
    limit = wire_account.decode_rate_limit(_sample(samples, "rest_userRateLimit_small.json"))
    assert limit == wire_account.RequestBudget(231, 10357, 0, Decimal("357.45105"))
    fees = wire_account.decode_fee_rates(_sample(samples, "rest_userFees.json"))
    assert fees == wire_account.FeeRates(Decimal("0.000315"), Decimal("0.000105"))


def test_orders(samples: Path) -> None:
    status = wire_orders.decode_order_status(_sample(samples, "rest_orderStatus_open.json"))
    assert status is not None
    assert (status.oid, status.kind, status.size, status.original_size, status.time_ms) == (
        566563303535,
        StatusKind.OPEN,
        Decimal("0.001"),
        Decimal("0.002"),
        1791275930650,
    )
    assert wire_orders.decode_order_status(_sample(samples, "rest_orderStatus_unknownOid.json")) is None
    triggers = wire_orders.decode_open_orders(_sample(samples, "rest_frontendOpenOrders_trigger.json"))
    assert [(order.oid, order.trigger_price) for order in triggers.orders] == [
        (3184595907, Decimal("10.004")),
        (3184595906, Decimal("9.995")),
        (3184595905, None),
    ]
    nested = wire_orders.decode_open_orders(_sample(samples, "rest_frontendOpenOrders_2026.json"))
    assert [order.oid for order in nested.orders] == [566563303535, 566563303536]
    history = wire_orders.decode_order_history(_sample(samples, "rest_historicalOrders.json"))
    assert [update.kind for update in history] == [StatusKind.REJECTED] * 3 + [StatusKind.CANCELED] * 2
    plain = wire_orders.decode_open_orders(_sample(samples, "rest_openOrders_2026.json"))
    assert (len(plain.orders), plain.skipped) == (1, 1)


def test_instruments(samples: Path, account: Path) -> None:
    meta = wire_rest.decode_meta(_sample(samples, "rest_meta_2026.json"))
    assert meta.asset_ids == {"BTC": 0, "ETH": 1, "MATIC": 2, "HPOS": 3}
    assert [instrument.delisted for instrument in meta.instruments] == [False, False, True, False]
    assert [instrument.max_leverage for instrument in meta.instruments] == [40, 25, 20, 3]
    assert meta.isolated_only == {"HPOS"}
    assert [problem.split(":")[0] for problem in meta.problems] == ["'BTC'", "'ETH'"]  # their tables were cut away
    builder = wire_rest.decode_meta(_sample(samples, "rest_meta_hip3_xyz.json"))
    assert (builder.instruments, builder.skipped) == ((), 2)
    whole = next(
        response
        for request, response in _answers(samples, account)
        if request.get("type") == "metaAndAssetCtxs" and request.get("dex") == ""
    )
    full, contexts = wire_rest.decode_meta_and_contexts(json.dumps(whole).encode())
    assert not full.problems
    assert len(full.instruments) == len(contexts) == len(whole[0]["universe"])
    btc = full.instruments[full.asset_ids["BTC"]]
    assert btc.margin_tiers == (MarginTier(Decimal(0), 40), MarginTier(Decimal("150000000.0"), 20))
    assert contexts["BTC"].mark == float(whole[1][0]["markPx"])


def test_candles_and_funding_of_the_past(samples: Path, shared_data: Path) -> None:
    window = wire_rest.decode_candles(_sample(samples, "rest_candleSnapshot_BTC_1h.json"), "BTC", Interval.H1)
    assert window.open_ms.tolist() == [1791252000000, 1791255600000]
    assert (window.open[0], window.high[0], window.low[0], window.close[0], window.volume[0]) == (
        85641.0,
        85739.0,
        85433.0,
        85513.0,
        526.02537,
    )
    rates = wire_rest.decode_funding_history(_sample(samples, "rest_fundingHistory_BTC.json"), "BTC")
    assert rates[0] == wire_rest.FundingRate(1791255600057, Decimal("0.0000125"), Decimal("-0.000226673"))
    path = shared_data / "candles" / "hl_candleSnapshot_BTC_15m_raw_20241204_20250125.json.gz"
    if not path.is_file():
        pytest.skip(f"no recorded candles: {path} is not there")
    with gzip.open(path, "rb") as file:
        rows = json.loads(file.read())
    long = wire_rest.decode_candles(json.dumps(rows[:-1]).encode(), "BTC", Interval.M15)
    assert len(long) == 5001
    with pytest.raises(DecodeError, match="asked for BTC 15m, got 'BTC-PERP'"):  # its recorder renamed the last row
        wire_rest.decode_candles(json.dumps(rows).encode(), "BTC", Interval.M15)
