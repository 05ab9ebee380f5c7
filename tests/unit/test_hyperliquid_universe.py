"""Which markets there are, builders' dexes among them, and what is traded in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.hyperliquid.heard import Ignored
from adapters.hyperliquid.history import SETTLE_MS, HyperliquidHistory
from adapters.hyperliquid.universe import UnknownDexes, UnknownSymbols, VenueMarkets, dex_of, read_universe
from adapters.hyperliquid.wire_frames import decode_frame
from adapters.hyperliquid.wire_rest import decode_meta_and_volumes
from domain.instruments import Instrument, Universe, single_tier
from ports.order_gateway import VenueUnavailable
from tests.unit.test_hyperliquid_rest import (
    META,
    MINUTE,
    NOW_MS,
    OPEN_MS,
    Answer,
    Desk,
    Request,
    ago,
    ok,
    recorded_folder,
    row,
)

# ── instruments ──────────────────────────────────────────────────────────────────────────────────


def asset(name: str, decimals: int = 2, leverage: int = 10, table: int = 10, **flags: object) -> Request:
    return {"name": name, "szDecimals": decimals, "maxLeverage": leverage, "marginTableId": table, **flags}


UNIVERSE = {
    "universe": [
        asset("BTC", 5, 40, 56),
        asset("MATIC", 1, 20, 20, isDelisted=True),
        asset("ETH", 4, 25, 25),
        asset("HPOS", 0, 3, 3, onlyIsolated=True, marginMode="strictIsolated"),
        asset("kPEPE", 0, 10, 10),
    ],
    "marginTables": [
        [
            56,
            {
                "description": "tiered 40x",
                "marginTiers": [
                    {"lowerBound": "0.0", "maxLeverage": 40},
                    {"lowerBound": "150000000.0", "maxLeverage": 20},
                ],
            },
        ]
    ],
    "collateralToken": 0,
}


async def markets(wanted: Sequence[str] | None = None, meta: object = UNIVERSE) -> VenueMarkets:
    return await read_universe(Desk(ok(meta)).info, wanted)


async def test_all_markets_but_the_delisted_keep_their_asset_ids() -> None:
    found = await markets()
    assert found.universe.symbols == ("BTC", "ETH", "HPOS", "kPEPE")
    assert found.asset_of == {"BTC": 0, "ETH": 2, "HPOS": 3, "kPEPE": 4}
    assert found.isolated_only == {"HPOS"}
    assert [tier.max_leverage for tier in found.universe.instrument("BTC").margin_tiers] == [40, 20]
    assert found.universe.instrument("ETH").max_leverage == 25


async def test_wanted_markets_come_in_the_venues_order() -> None:
    found = await markets(["kPEPE", "BTC", "kPEPE"])
    assert found.universe.symbols == ("BTC", "kPEPE")
    assert found.asset_of == {"BTC": 0, "kPEPE": 4}
    assert found.isolated_only == frozenset()


async def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(UnknownSymbols) as raised:
        await markets(["KPEPE", "BTC", "DOGE", "MATIC"])
    error = raised.value
    assert (error.unknown, error.delisted) == (("DOGE", "KPEPE"), ("MATIC",))
    assert error.known == ("BTC", "ETH", "HPOS", "kPEPE")
    assert str(error) == (
        "the venue has no 'DOGE', 'KPEPE' (names are case-sensitive); delisted: 'MATIC'; "
        "it has 'BTC', 'ETH', 'HPOS', 'kPEPE'"
    )


async def test_a_long_list_of_names_is_cut() -> None:
    many = {"universe": [asset(f"C{number}") for number in range(200)]}
    with pytest.raises(UnknownSymbols, match=r"'C11' and 188 more$"):
        await markets(["X"], many)


async def test_a_market_that_makes_no_sense_is_set_aside_and_said() -> None:
    odd = {"universe": [asset("BTC"), asset("ODD", decimals=9), asset("ETH")]}
    found = await markets(meta=odd)
    assert found.asset_of == {"BTC": 0, "ETH": 2}
    assert any("ODD" in problem for problem in found.problems)
    with pytest.raises(UnknownSymbols, match=r"not understood: .*ODD"):
        await markets(["ODD"], odd)


@pytest.mark.parametrize(
    "meta", [None, [], {}, {"universe": {}}, {"universe": []}, {"universe": [asset("A"), asset("A")]}]
)
async def test_a_universe_that_cannot_be_read_is_no_universe(meta: object) -> None:
    with pytest.raises(VenueUnavailable, match="meta"):
        await markets(meta=meta)


async def test_only_delisted_markets_are_none() -> None:
    with pytest.raises(VenueUnavailable, match="no market"):
        await markets(meta={"universe": [asset("MATIC", isDelisted=True)]})


async def test_the_recorded_universe_is_read(shared_data: Path) -> None:
    meta = json.loads((recorded_folder(shared_data) / "rest_meta_2026.json").read_text())["response"]
    found = await markets(meta=meta)
    places = {each["name"]: place for place, each in enumerate(meta["universe"]) if not each.get("isDelisted")}
    assert found.asset_of == places
    assert found.listed == tuple(places)


# ── builders' dexes ──────────────────────────────────────────────────────────────────────────────

XYZ = {"universe": [asset("xyz:XYZ100", 4, 30), asset("xyz:CL", 3, 20, onlyIsolated=True)], "collateralToken": 0}
ABC = {"universe": [asset("abc:OLD", isDelisted=True), asset("abc:BTC", 2, 10)], "collateralToken": 360}
DEXES = [None, {"name": "xyz", "fullName": "XYZ"}, None, {"name": "abc"}]


def several(dexes: object = DEXES, **metas: object) -> Desk:
    """A venue with builders' dexes, those of the tests unless told otherwise."""
    known: dict[str, object] = {"": UNIVERSE, "xyz": XYZ, "abc": ABC} | metas

    def say(request: Request) -> Answer:
        return ok(dexes if request["type"] == "perpDexs" else known.get(request.get("dex", "")))

    return Desk(say=say)


async def test_markets_of_a_builders_dex_join_with_asset_ids_of_their_own() -> None:
    desk = several()
    found = await read_universe(desk.info, None, ["abc", "xyz", "abc"])
    assert found.universe.symbols == ("BTC", "ETH", "HPOS", "kPEPE", "abc:BTC", "xyz:XYZ100", "xyz:CL")
    own = {"BTC": 0, "ETH": 2, "HPOS": 3, "kPEPE": 4}
    assert found.asset_of == own | {"abc:BTC": 130_001, "xyz:XYZ100": 110_000, "xyz:CL": 110_001}
    assert found.isolated_only == {"HPOS", "xyz:CL"}
    assert found.universe.instrument("xyz:CL").size_decimals == 3
    assert found.listed == found.universe.symbols
    assert found.problems == ("'abc': its money is token '360' and not USDC",)
    assert [(each["type"], each.get("dex")) for each in desk.asked] == [
        ("meta", None),
        ("perpDexs", None),
        ("meta", "abc"),
        ("meta", "xyz"),
    ]


async def test_of_a_builders_dex_only_what_is_wanted_is_traded() -> None:
    found = await read_universe(several().info, ["xyz:CL", "BTC"], ["xyz"])
    assert found.asset_of == {"BTC": 0, "xyz:CL": 110_001}
    assert found.listed == ("BTC", "ETH", "HPOS", "kPEPE", "xyz:XYZ100", "xyz:CL")


async def test_without_the_switch_no_dex_is_asked_about() -> None:
    desk = several()
    assert (await read_universe(desk.info)).universe.symbols == ("BTC", "ETH", "HPOS", "kPEPE")
    assert desk.asked == [META]


async def test_a_builders_market_is_refused_with_the_switch_that_admits_it() -> None:
    with pytest.raises(UnknownSymbols) as raised:
        await read_universe(several().info, ["BTC", "xyz:CL"])
    assert raised.value.unknown == ("xyz:CL",)
    assert raised.value.switch == "AI_QUANT_BUILDER_DEXES=xyz"
    assert str(raised.value) == (
        "'xyz:CL' would be admitted by AI_QUANT_BUILDER_DEXES=xyz (a builder's dex); "
        "the venue has 'BTC', 'ETH', 'HPOS', 'kPEPE'"
    )
    with pytest.raises(UnknownSymbols, match=r"no 'DOGE' .* 'abc:BTC' would .*_DEXES=xyz,abc .*; it has 'BTC'"):
        await read_universe(several().info, ["abc:BTC", "xyz:CL", "DOGE"], ["xyz"])


async def test_in_an_admitted_dex_names_are_known_delisted_or_neither() -> None:
    with pytest.raises(UnknownSymbols) as raised:
        await read_universe(several().info, ["abc:OLD", "abc:btc"], ["abc"])
    error = raised.value
    assert (error.unknown, error.delisted, error.switch) == (("abc:btc",), ("abc:OLD",), "")
    assert "the venue has no 'abc:btc'" in str(error)


async def test_an_unknown_dex_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownDexes) as raised:
        await read_universe(several().info, None, ["xyz", "XYZ", "no"])
    assert (raised.value.unknown, raised.value.known) == (("XYZ", "no"), ("xyz", "abc"))
    assert str(raised.value) == "the venue has no dex 'XYZ', 'no' (names are case-sensitive); it has 'xyz', 'abc'"
    with pytest.raises(UnknownDexes, match="it has nothing"):
        await read_universe(several([None]).info, None, ["xyz"])


@pytest.mark.parametrize("dexes", [None, {}, [], [{"name": "xyz"}], [None, {}], [None, *2 * [{"name": "x"}]]])
async def test_a_list_of_dexes_that_cannot_be_read_places_no_market(dexes: object) -> None:
    with pytest.raises(VenueUnavailable, match="perpDexs"):
        await read_universe(several(dexes).info, None, ["xyz"])


async def test_what_bears_another_name_is_no_market_of_the_dex() -> None:
    odd = {"universe": [asset("BTC"), asset("abc:CL"), asset("xyz:"), asset("xyz:CL")]}
    found = await read_universe(several(xyz=odd).info, None, ["xyz"])
    assert found.asset_of["xyz:CL"] == 110_003
    assert found.universe.symbols == ("BTC", "ETH", "HPOS", "kPEPE", "xyz:CL")
    assert found.problems == ("'BTC': no market of 'xyz'", "'abc:CL': no market of 'xyz'", "'xyz:': no market of 'xyz'")
    with pytest.raises(VenueUnavailable, match="meta"):
        await read_universe(several(xyz=None).info, None, ["xyz"])


async def test_no_asset_id_of_one_dex_is_one_of_the_next() -> None:
    full = {"universe": [asset(f"xyz:C{number}") for number in range(10_000)]}
    found = await read_universe(several(xyz=full).info, None, ["xyz"])
    assert found.asset_of["xyz:C9999"] == 119_999
    with pytest.raises(VenueUnavailable, match="more markets than"):
        await read_universe(several(xyz={"universe": [*full["universe"], asset("xyz:X")]}).info, None, ["xyz"])


async def test_the_recorded_dex_is_read(shared_data: Path) -> None:
    samples = recorded_folder(shared_data)
    dexes, meta = (
        json.loads((samples / f"rest_{name}.json").read_text())["response"] for name in ("perpDexs", "meta_hip3_xyz")
    )
    found = await read_universe(several(dexes, xyz=meta).info, ["BTC", "xyz:TSLA"], ["xyz"])
    assert found.asset_of == {"BTC": 0, "xyz:TSLA": 110_001}
    assert found.isolated_only == {"xyz:TSLA"}


async def test_candles_of_a_builders_market_are_asked_for_by_its_whole_name() -> None:
    rows = [row(OPEN_MS - 60_000, s="xyz:CL")]
    desk = Desk(ok(rows), now_ms=OPEN_MS + SETTLE_MS)
    history = HyperliquidHistory(desk.info, Universe([Instrument("xyz:CL", 3, single_tier(20))]), desk.clock)
    assert ago(await history.candles("xyz:CL", MINUTE, OPEN_MS - 60_000, OPEN_MS)) == [1]
    assert desk.asked[0]["req"]["coin"] == "xyz:CL"


def frames_of(coin: str) -> dict[str, str]:
    """What the streams say of a market."""
    trade = {"coin": coin, "side": "B", "px": "60.1", "sz": "2.0", "time": NOW_MS, "tid": 5, "hash": "0x0"}
    best = [{"px": "60.0", "sz": "1.0", "n": 1}, {"px": "60.1", "sz": "1.0", "n": 1}]
    told: dict[str, object] = {
        "bbo": {"coin": coin, "time": NOW_MS, "bbo": best},
        "candle": row(OPEN_MS, s=coin),
        "trades": [trade],
        "l2Book": {"coin": coin, "time": NOW_MS, "levels": [best[:1], best[1:]]},
    }
    return {channel: json.dumps({"channel": channel, "data": data}) for channel, data in told.items()}


@pytest.mark.parametrize("channel", ["bbo", "candle", "trades", "l2Book"])
def test_a_builders_market_is_heard_where_it_is_traded_and_nowhere_else(channel: str) -> None:
    traded = Universe(Instrument(symbol, 3, single_tier(20)) for symbol in ("BTC", "xyz:CL"))
    told = decode_frame(frames_of("xyz:CL")[channel], traded, now_ms=NOW_MS)
    assert getattr(told, "coin", None) == "xyz:CL", told
    for other in ("xyz:GOLD", "CL", "abc:CL", "XYZ:CL"):
        assert decode_frame(frames_of(other)[channel], traded, now_ms=NOW_MS) == Ignored(channel)
    alone = Universe([Instrument("BTC", 3, single_tier(20))])
    assert decode_frame(frames_of("xyz:CL")[channel], alone, now_ms=NOW_MS) == Ignored(channel)


@pytest.mark.parametrize(("symbol", "dex"), [("BTC", ""), ("xyz:CL", "xyz"), ("a:b:c", "a"), ("", "")])
def test_the_name_of_a_market_tells_its_dex(symbol: str, dex: str) -> None:
    assert dex_of(symbol) == dex


# ── volumes ──────────────────────────────────────────────────────────────────────────────────────


def with_volumes(*volumes: object) -> bytes:
    contexts = [{"dayNtlVlm": each} for each in volumes]
    return json.dumps([{"universe": [asset("BTC"), asset("OLD", isDelisted=True), asset("ETH")]}, contexts]).encode()


def test_volumes_stand_beside_their_coins_delisted_ones_too() -> None:
    meta, volumes = decode_meta_and_volumes(with_volumes("1820651593.0427696705", "0.0", "7.5"))
    assert volumes == {"BTC": 1820651593.0427696705, "OLD": 0.0, "ETH": 7.5}
    assert not meta.problems
    assert [each.symbol for each in meta.instruments if each.delisted] == ["OLD"]


@pytest.mark.parametrize("odd", [None, "", "much", "-1.0", "NaN", "Infinity", [], {}, True])
def test_a_volume_that_is_none_costs_nobody_else_its_own(odd: object) -> None:
    meta, volumes = decode_meta_and_volumes(with_volumes(odd, "1.0", "2.0"))
    assert volumes == {"OLD": 1.0, "ETH": 2.0}
    assert meta.problems == ("'BTC': no volume",)


def test_volumes_that_cannot_be_told_apart_are_none() -> None:
    meta, volumes = decode_meta_and_volumes(with_volumes("1.0", "2.0"))
    assert (volumes, meta.problems) == ({}, ("2 contexts for 3 coins: no volumes",))
    assert len(meta.instruments) == 3
    empty = json.dumps([{"universe": []}, []]).encode()
    assert decode_meta_and_volumes(empty)[1] == {}


def test_volumes_of_a_builders_dex_are_read_by_its_name() -> None:
    said = json.dumps([{"universe": [asset("xyz:CL")]}, [{"dayNtlVlm": "3.0"}]]).encode()
    assert decode_meta_and_volumes(said, "xyz")[1] == {"xyz:CL": 3.0}
    assert decode_meta_and_volumes(said)[1] == {}


def test_recorded_volumes_are_read(shared_data: Path) -> None:
    said = json.loads((recorded_folder(shared_data) / "rest_metaAndAssetCtxs_2026.json").read_text())["response"]
    _, volumes = decode_meta_and_volumes(json.dumps(said).encode())
    assert volumes == {
        coin["name"]: float(context["dayNtlVlm"]) for coin, context in zip(said[0]["universe"], said[1], strict=True)
    }
