"""The local venue's payloads have the shapes of the real one's: keys and their order, nesting, kinds of scalars.

Compared with every recorded answer and frame beside the repository. What differs on purpose is named here, by key.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.sim.venue import shapes
from tests.json_shapes import Allowance, differences, shape_of
from tests.venue_desks import CLOID, HOUSE, LOSER, PARENT, START_MS, TRADER, Candle, ReadVenue, busy_venue, part, rows

HOUR_MS = 3_600_000

# `openOrders` and `orderUpdates` leave out what an order does not have (§3.10).
BASIC = Allowance(optional=("cloid", "reduceOnly"))
# A fill names its order's cloid, a liquidation and a builder's fee only where there is one; no builders here (§3.14).
FILL = Allowance(optional=("cloid", "liquidation", "builderFee"))
# `rawUsd` is the cash of an isolated position, cross ones have none (§3.8).
# A well-covered long has no price that ends it.
STATE = Allowance(optional=("rawUsd",), nulls=("liquidationPx",))
# Flags stand only where set; this venue sets no coin's margin mode. `spread` and `fast` mark special books.
META = Allowance(optional=("isDelisted", "onlyIsolated", "marginMode"))
BOOK = Allowance(optional=("spread", "fast"))
# Payments are rolled up, and then counted, only when they are old; here they never are (§3.15).
FUNDING = Allowance(nulls=("nSamples",))
# Nobody here trades on trial or is linked to a stake.
FEES = Allowance(nulls=("nextTrialAvailableTimestamp", "stakingLink"))
# The spot market has one token and no pair.
SPOT = Allowance(empty=("universe", "1"), optional=("deployerTradingFeeShare",))
# Triggers have no time in force, many orders no cloid; both stand there as null (§3.11).
FRONTEND = Allowance(nulls=("tif", "cloid"))
# Null without a usable book (§3.3).
CONTEXT = Allowance(nulls=("premium", "midPx", "impactPxs"))
PLAIN = Allowance()
NO_ROWS = Allowance(empty=("$",))

# What the recordings of the SDK (2023, the rate limit 2025) did not have yet, by request type.
NEWER_SINCE_2023: dict[str, tuple[str, ...]] = {
    "clearinghouseState": ("crossMaintenanceMarginUsed", "time", "maxLeverage", "cumFunding"),
    "meta": ("marginTableId", "marginTables", "collateralToken"),
    "openOrders": ("origSz", "cloid", "reduceOnly"),
    "frontendOpenOrders": ("cloid",),
    "userFills": ("tid", "feeToken", "twapId"),
    "userFillsByTime": ("tid", "feeToken", "twapId"),
    "userRateLimit": ("nRequestsSurplus",),  # came in 2026
}
GONE_SINCE_2023 = {"clearinghouseState": ("maxTradeSzs",)}

ALLOWED = {
    "openOrders": BASIC,
    "frontendOpenOrders": FRONTEND,
    "orderStatus": FRONTEND,
    "historicalOrders": FRONTEND,
    "userFills": FILL,
    "userFillsByTime": FILL,
    "clearinghouseState": STATE,
    "subAccounts": STATE,
    "activeAssetData": STATE,
    "meta": META,
    "metaAndAssetCtxs": replace(META, nulls=CONTEXT.nulls),
    "l2Book": BOOK,
    "userFunding": FUNDING,
    "userFees": FEES,
    "spotMeta": SPOT,
    "spotMetaAndAssetCtxs": SPOT,
    "userVaultEquities": NO_ROWS,  # no vaults
    "delegatorHistory": NO_ROWS,  # no staking
    "predictedFundings": Allowance(nulls=("1",)),  # other venues are unknown here
}

# What single files are known to be short of: file → keys that are newer, keys that a perp venue of one dex never has.
FILES: dict[str, Allowance] = {
    "rest_l2Book_BTC.json": Allowance(newer=("n",)),  # dropped by the fixture's author
    "rest_userRateLimit.json": Allowance(newer=("nRequestsSurplus",)),  # came in 2026
    "rest_userRateLimit_small.json": Allowance(newer=("nRequestsSurplus",)),
    "rest_meta_hip3_xyz.json": Allowance(
        gone=("growthMode", "lastGrowthModeChangeTime", "lastFeeScaleChangeTime", "deployerFeeScale")
    ),
}
MAPS = {"allMids"}
"""Objects whose keys are data."""


@pytest.fixture(scope="module")
def venue() -> ReadVenue:
    return busy_venue()


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    folder = shared_data.parent / "hyperliquid-samples"
    if not folder.is_dir():
        pytest.skip(f"no sample payloads: {folder} is not there")
    return folder


# ── our side ─────────────────────────────────────────────────────────────────────────────────


def _ours(venue: ReadVenue, request: dict[str, object]) -> object:
    """Our answer to the same kind of request, about somebody who has what it asks for."""
    kind = str(request["type"])
    fields: dict[str, object] = {"user": TRADER}
    match kind:
        case "l2Book":
            fields["coin"] = "BTC"
            fields["nSigFigs"] = 2 if "nSigFigs" in request else None
        case "recentTrades":
            fields["coin"] = "BTC"
        case "activeAssetData":
            fields["coin"] = "ETH"
        case "fundingHistory":
            fields |= {"coin": "BTC", "startTime": START_MS - 9 * HOUR_MS}
        case "candleSnapshot":
            wanted = request["req"]
            assert isinstance(wanted, dict)
            fields["req"] = {"coin": "kPEPE", "interval": wanted["interval"], "startTime": START_MS - HOUR_MS}
        case "userFunding" | "userFillsByTime" | "userNonFundingLedgerUpdates":
            fields["startTime"] = 0
        case "orderStatus":
            fields["oid"] = PARENT if isinstance(request["oid"], str) else CLOID
        case "userRole":
            fields["user"] = HOUSE
        case "clearinghouseState" if request.get("dex"):
            fields["dex"] = request["dex"]
    return venue.ask(kind, **fields)


def _ledger_rows(venue: ReadVenue, kinds: set[object]) -> list[object]:
    found = rows(venue.ask("userNonFundingLedgerUpdates", startTime=0))
    found = [*found, *rows(venue.ask("userNonFundingLedgerUpdates", startTime=0, user=LOSER))]
    return [row for row in found if part(row, "delta", "type") in kinds]


# ── REST ─────────────────────────────────────────────────────────────────────────────────────


def _compare(
    venue: ReadVenue, request: dict[str, object], response: object, file: Allowance, *, old: bool
) -> list[str]:
    kind = str(request["type"])
    if kind == "userNonFundingLedgerUpdates":
        return _compare_ledger(venue, response)
    base = ALLOWED.get(kind, PLAIN)
    allowed = replace(
        base,
        newer=(*file.newer, *(NEWER_SINCE_2023.get(kind, ()) if old else ())),
        gone=(*file.gone, *(GONE_SINCE_2023.get(kind, ()) if old else ())),
    )
    ours = _ours(venue, request)
    if response == {"status": "unknownOid"}:
        return [] if venue.ask("orderStatus", oid=17) == response else ["unknownOid is told differently"]
    if kind in MAPS:
        assert isinstance(response, dict) and isinstance(ours, dict)
        response, ours = list(response.values()), list(ours.values())
    if response == []:
        return [] if isinstance(ours, list) else ["an empty list there, no list here"]
    return list(differences(shape_of(response), shape_of(ours), allowed))


def _compare_ledger(venue: ReadVenue, response: object) -> list[str]:
    """Row by row of the same type: each type has a shape of its own."""
    ours = _ledger_rows(venue, {part(row, "delta", "type") for row in rows(response)})
    return [
        found
        for own in ours
        for real in rows(response)
        if part(own, "delta", "type") == part(real, "delta", "type")
        for found in differences(shape_of(real), shape_of(own), PLAIN)
    ]


def _is_old(name: str) -> bool:
    return "2023" in name or name in ("rest_frontendOpenOrders_trigger.json",)


def test_every_rest_sample_has_our_shape(samples: Path, venue: ReadVenue) -> None:
    names = sorted(samples.glob("rest_*.json"))
    assert len(names) >= 40
    found: list[str] = []
    for path in names:
        sample = json.loads(path.read_text())
        file = FILES.get(path.name, PLAIN)
        problems = _compare(venue, sample["request"], sample["response"], file, old=_is_old(path.name))
        found.extend(f"{path.name}: {problem}" for problem in problems)
    assert not found, "\n".join(found)


# Answers about other dexes, spot or bodies that this venue does not have.
SKIPPED_RECORDINGS = {"perpDexLimits": "only builders' dexes have limits"}

# go-hyperliquid recorded in autumn 2025, before these came.
NEWER_SINCE_2025 = ("collateralToken",)


@pytest.mark.parametrize("name", ["hl_info_vcr_python_sdk_2023_2025.jsonl.gz", "hl_info_exchange_vcr_go_2025.jsonl.gz"])
def test_every_recorded_answer_has_our_shape(name: str, shared_data: Path, venue: ReadVenue) -> None:
    compared, found = 0, list[str]()
    for line in _lines(shared_data / "account" / name):
        recorded = json.loads(line)
        request, response = recorded["request"], recorded["response"]
        if not recorded["url"].endswith("/info") or request["type"] in SKIPPED_RECORDINGS or request.get("dex"):
            continue
        compared += 1
        file = Allowance(newer=NEWER_SINCE_2025)
        problems = _compare(venue, request, response, file, old="python_sdk" in name)
        found.extend(f"{recorded['src'].rsplit('/', 1)[-1]}: {problem}" for problem in problems)
    assert compared >= 20
    assert not found, "\n".join(found)


def test_every_recorded_fill_has_our_shape(shared_data: Path, venue: ReadVenue) -> None:
    folder = shared_data / "account"
    real = [
        fill
        for line in _lines(folder / "hl_userFillsByTime_copytrade_202607.jsonl.gz")
        for fill in json.loads(line)["fills"]
    ]
    for line in _lines(folder / "hl_node_fills_by_block_20251027_1700_part1.jsonl.gz"):
        real.extend(fill for _, fill in json.loads(line)["events"])
    # What only special fills carry: a builder's fee and address, others' trial and gas fees (§3.14).
    special = ("builder", "deployerFee", "priorityGas", "feeTrialEscrow")
    allowed = replace(FILL, optional=(*FILL.optional, *special))
    assert len(real) > 4_000
    fills = [*rows(venue.ask("userFills")), *rows(venue.ask("userFills", user=LOSER))]
    assert not list(differences(shape_of(*real), shape_of(*fills), allowed))


def test_a_recorded_wallet_has_our_shapes(shared_data: Path, venue: ReadVenue) -> None:
    path = shared_data / "account" / "hl_wallet_0xdae4_orders_fills_funding_to_20260601.json.gz"
    wallet = json.loads(gzip.decompress(path.read_bytes()))
    pairs: list[tuple[object, object, Allowance]] = [
        (wallet["historicalOrders"], venue.ask("historicalOrders"), FRONTEND),
        (wallet["userFillsByTime"], venue.ask("userFillsByTime", startTime=0), FILL),
        (wallet["userFunding"], venue.ask("userFunding", startTime=0), FUNDING),
    ]
    for state in wallet["clearinghouseState_snapshots"]:
        pairs.append((state["response"], venue.ask("clearinghouseState"), STATE))
    found = [line for real, ours, allowed in pairs for line in differences(shape_of(real), shape_of(ours), allowed)]
    assert not found, "\n".join(found)


def test_recorded_stop_orders_and_web_data_have_our_shapes(shared_data: Path, venue: ReadVenue) -> None:
    folder = shared_data / "ws"
    frames = [json.loads(line) for line in (folder / "hl_single_frames.jsonl").read_text().splitlines()]
    named = {frame["path"].rsplit("#", 1)[-1]: frame["frame"] for frame in frames}
    pairs: list[tuple[object, object, Allowance]] = [
        (named["FRONTEND_OPEN_ORDERS"], venue.ask("frontendOpenOrders"), FRONTEND),
        (named["HISTORICAL_ORDERS"], venue.ask("historicalOrders"), FRONTEND),
        (named["ORDER_UPDATES"]["data"], _order_changes(venue), BASIC),
    ]
    for line in _lines(folder / "hl_ws_webData2_openPosition_202507.jsonl.gz"):
        data = json.loads(line).get("data")
        if isinstance(data, dict) and "clearinghouseState" in data:
            pairs.append((data["clearinghouseState"], venue.ask("clearinghouseState"), STATE))
            # `collateralToken` came later in 2025.
            pairs.append((data["meta"], venue.ask("meta"), replace(META, newer=NEWER_SINCE_2025)))
            pairs.append((data["assetCtxs"], _contexts(venue), CONTEXT))
    assert len(pairs) == 6
    found = [line for real, ours, allowed in pairs for line in differences(shape_of(real), shape_of(ours), allowed)]
    assert not found, "\n".join(found)


# ── WebSocket: the rows inside the frames ────────────────────────────────────────────────────

Rows = Callable[[ReadVenue], object]


def _levels(venue: ReadVenue) -> list[object]:
    bids, asks = venue.market.levels("BTC", 1)
    return [None, *(shapes.level_row(level) for level in (*bids, *asks))]


def _context(venue: ReadVenue) -> object:
    return shapes.asset_ctx(venue.market.context("BTC"))


def _contexts(venue: ReadVenue) -> object:
    return [shapes.asset_ctx(venue.market.context(each.symbol)) for each in venue.exchange.instruments]


def _fundings(venue: ReadVenue) -> list[dict[str, object]]:
    return [shapes.funding_event_row(funding) for funding in venue.trader.fundings]


def _order_changes(venue: ReadVenue) -> list[object]:
    return [
        shapes.order_change_row(order, change) for order in venue.trader.history.values() for change in order.changes
    ]


# Channel → where its rows are in `data`, ours, and what may differ.
CHANNELS: dict[str, tuple[tuple[str, ...], Rows, Allowance]] = {
    "bbo": (("bbo",), _levels, Allowance(nulls=("bbo",))),  # an empty side is null
    "trades": ((), lambda venue: venue.ask("recentTrades", coin="BTC"), PLAIN),
    "candle": ((), lambda _: shapes.candle_row("BTC", "1m", Candle(0, 59_999)), PLAIN),
    "activeAssetCtx": (("ctx",), _context, CONTEXT),
    "l2Book": ((), lambda venue: venue.ask("l2Book", coin="BTC"), BOOK),
    "orderUpdates": ((), _order_changes, BASIC),
    "clearinghouseState": (("clearinghouseState",), lambda venue: venue.ask("clearinghouseState"), STATE),
    "openOrders": (("orders",), lambda venue: venue.ask("frontendOpenOrders"), FRONTEND),
    "activeAssetData": ((), lambda venue: venue.ask("activeAssetData", coin="HYPE"), STATE),
    # `tokenToAvailableAfterMaintenance` is of portfolio margin (§3.9).
    "spotState": (
        ("spotState",),
        lambda venue: venue.ask("spotClearinghouseState"),
        Allowance(optional=("tokenToAvailableAfterMaintenance",)),
    ),
    "userFundings": (("fundings",), _fundings, FUNDING),
}
USER_EVENTS: dict[str, tuple[Rows, Allowance]] = {
    "fills": (lambda venue: venue.ask("userFills"), FILL),
    "funding": (lambda venue: _fundings(venue)[0], PLAIN),
}
# Frames without a row of `shapes`, and streams that are not a perp trader's.
OTHER_CHANNELS = {
    "allMids",
    "activeSpotAssetCtx",
    "error",
    "fastAssetCtxs",
    "notification",
    "pong",
    "post",
    "subscriptionResponse",
    "twapStates",
    "userTwapHistory",
    "webData3",
}


def test_the_rows_of_every_frame_have_our_shape(samples: Path, venue: ReadVenue) -> None:
    found: list[str] = []
    compared: set[str] = set()
    for path in sorted(samples.glob("ws_*.json")):
        for exchanged in json.loads(path.read_text())["frames"]:
            frame = exchanged["frame"]
            if exchanged["dir"] == "client->server" or frame["channel"] in OTHER_CHANNELS:
                continue
            compared.add(frame["channel"])
            found.extend(f"{path.name} {problem}" for problem in _frame_differences(venue, frame))
    assert not found, "\n".join(found)
    assert compared == {*CHANNELS, "user", "userNonFundingLedgerUpdates", "allDexsAssetCtxs"}


def _frame_differences(venue: ReadVenue, frame: dict[str, object]) -> Iterator[str]:
    channel, data = str(frame["channel"]), frame["data"]
    if channel == "userNonFundingLedgerUpdates":
        yield from _compare_ledger(venue, part(data, "nonFundingLedgerUpdates"))
    elif channel == "allDexsAssetCtxs":
        dexes = part(data, "ctxs")
        assert isinstance(dexes, list)
        for _, contexts in dexes:
            yield from differences(shape_of(*contexts), shape_of(*rows(_contexts(venue))), CONTEXT)
    elif channel == "user":
        assert isinstance(data, dict)
        for key in data.keys() & USER_EVENTS.keys():
            ours, allowed = USER_EVENTS[key]
            yield from differences(shape_of(data[key]), shape_of(ours(venue)), allowed, f"user.{key}")
    else:
        keys, ours, allowed = CHANNELS[channel]
        real = part(data, *keys)
        if channel == "l2Book" and part(real, "levels") == [[], []]:
            return
        yield from differences(shape_of(real), shape_of(ours(venue)), allowed, channel)


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()
