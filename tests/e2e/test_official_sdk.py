"""A trading day of the official Python SDK, unchanged, against `./aiq venue`: every answer is read for its meaning.

The SDK brings its own HTTP and WebSocket managers, its own signing, its own rounding. What it understands here it
understands at the real venue.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from eth_account import Account
from hyperliquid.exchange import Exchange  # type: ignore[import-untyped]
from hyperliquid.info import Info  # type: ignore[import-untyped]
from hyperliquid.utils.signing import get_timestamp_ms  # type: ignore[import-untyped]
from hyperliquid.utils.types import Cloid  # type: ignore[import-untyped]

from tests.venue_process import venue as running_venue

pytestmark = pytest.mark.xdist_group("official_sdk")

ACCOUNTS = 12
BALANCE = 100_000.0
HOUR_MS = 3_600_000
Ready = dict[str, Any]


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    options = ("--symbols", "6", "--seed", "7", "--accounts", str(ACCOUNTS), "--balance", "100000", "--no-limits")
    with running_venue(tmp_path_factory.mktemp("sdk"), *options) as (running, ready):
        yield ready
        assert running.end(signal.SIGTERM) == 0


class Trader:
    """One toy account with the SDK's two halves, and what it expects to be true."""

    def __init__(self, venue: Ready, number: int) -> None:
        account = venue["accounts"][number]
        self.address = account["address"]
        self.wallet = Account.from_key(account["key"])
        self.url = venue["url"]
        self.info = Info(self.url, skip_ws=True)
        self.exchange = Exchange(self.wallet, self.url)

    def mid(self, coin: str) -> float:
        return float(self.info.all_mids()[coin])

    def price(self, coin: str, factor: float) -> float:
        """Some way from the mid, at five figures and in the coin's decimals."""
        decimals: int = 6 - self.info.asset_to_sz_decimals[self.info.name_to_asset(coin)]
        return round(float(f"{self.mid(coin) * factor:.5g}"), decimals)

    def size(self, coin: str, usd: float) -> float:
        decimals: int = self.info.asset_to_sz_decimals[self.info.name_to_asset(coin)]
        return round(usd / self.mid(coin), decimals)

    def position(self, coin: str) -> Decimal:
        for each in self.info.user_state(self.address)["assetPositions"]:
            if each["position"]["coin"] == coin:
                return Decimal(each["position"]["szi"])
        return Decimal(0)

    def oids(self) -> set[int]:
        return {order["oid"] for order in self.info.open_orders(self.address)}


@pytest.fixture
def trader(venue: Ready, request: pytest.FixtureRequest) -> Trader:
    """Every test has an account to itself."""
    return Trader(venue, _NUMBERS.index(request.node.name))


_NUMBERS = [
    "test_market_queries",
    "test_a_new_account",
    "test_resting_orders_their_queries_and_their_end",
    "test_market_orders_and_everything_that_follows_from_fills",
    "test_tp_sl_groups",
    "test_modify",
    "test_bulk_orders_fail_one_by_one",
    "test_leverage_and_isolated_margin",
    "test_schedule_cancel",
    "test_agent",
    "test_expiry_and_money",
    "test_every_perp_channel",
]


def status(answer: Any, place: int = 0) -> Any:
    assert answer["status"] == "ok", answer
    assert answer["response"]["type"] == "order"
    return answer["response"]["data"]["statuses"][place]


def ok(answer: Any) -> None:
    assert answer == {"status": "ok", "response": {"type": "default"}}


def eventually(what: Callable[[], object], patience_s: float = 20.0) -> Any:
    """Wait for something that the market or a block must bring first."""
    deadline = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


# ── what everybody may ask ───────────────────────────────────────────────────────────────────


def test_market_queries(trader: Trader, venue: Ready) -> None:
    info, now = trader.info, get_timestamp_ms()
    meta = info.meta()
    assert [each["name"] for each in meta["universe"]] == venue["symbols"]
    again, contexts = info.meta_and_asset_ctxs()
    assert again == meta and len(contexts) == len(meta["universe"])
    mids = info.all_mids()
    for entry, context in zip(meta["universe"], contexts, strict=True):
        coin, mid = entry["name"], float(mids[entry["name"]])
        assert abs(float(context["markPx"]) / mid - 1) < 0.02
        assert float(context["oraclePx"]) > 0 and float(context["dayNtlVlm"]) > 0
        book = info.l2_snapshot(coin)
        bids, asks = ([float(level["px"]) for level in side] for side in book["levels"])
        assert book["coin"] == coin and 1 <= len(bids) <= 20 and 1 <= len(asks) <= 20
        assert bids == sorted(bids, reverse=True) and asks == sorted(asks) and bids[0] < asks[0]
    assert info.perp_dexs() == [None]
    assert info.spot_meta()["universe"] == []
    assert info.spot_meta_and_asset_ctxs()[1] == []

    candles = info.candles_snapshot("BTC", "1m", now - 10 * 60_000, now)
    assert 10 <= len(candles) <= 11
    assert candles[-1]["T"] >= now - 1_000, "the running candle is the last row"
    for candle in candles:
        assert candle["T"] == candle["t"] + 59_999 and (candle["s"], candle["i"]) == ("BTC", "1m")
        low, high = float(candle["l"]), float(candle["h"])
        assert low <= float(candle["o"]) <= high and low <= float(candle["c"]) <= high

    fundings = info.funding_history("BTC", now - 5 * HOUR_MS, now)
    assert len(fundings) == 5
    assert all(each["coin"] == "BTC" and abs(float(each["fundingRate"])) < 0.04 for each in fundings)
    assert [each["time"] for each in fundings] == sorted(each["time"] for each in fundings)
    assert info.query_perp_deploy_auction_status() is not None
    assert info.query_spot_deploy_auction_status(trader.address) is not None


def test_a_new_account(trader: Trader) -> None:
    info, address = trader.info, trader.address
    state = info.user_state(address)
    assert Decimal(state["marginSummary"]["accountValue"]) == Decimal(state["withdrawable"]) == 100_000
    assert state["assetPositions"] == []
    for empty in (
        info.open_orders(address),
        info.frontend_open_orders(address),
        info.user_fills(address),
        info.user_fills_by_time(address, 0),
        info.user_funding_history(address, 0),
        info.historical_orders(address),
        info.user_twap_slice_fills(address),
        info.user_vault_equities(address),
        info.extra_agents(address),
        info.user_staking_delegations(address),
        info.user_staking_rewards(address),
        info.delegator_history(address),
    ):
        assert empty == []
    (deposit,) = info.user_non_funding_ledger_updates(address, 0)
    assert deposit["delta"]["type"] == "deposit" and Decimal(deposit["delta"]["usdc"]) == 100_000
    fees = info.user_fees(address)
    assert (fees["userCrossRate"], fees["userAddRate"]) == ("0.00045", "0.00015")
    limit = info.user_rate_limit(address)
    assert (limit["nRequestsUsed"], limit["nRequestsCap"], limit["cumVlm"]) == (0, 10_000, "0.0")
    assert info.user_role(address) == {"role": "user"}
    assert info.user_role("0x" + 40 * "e") == {"role": "missing"}
    assert info.query_sub_accounts(address) is None
    assert info.query_user_abstraction_state(address) == "default"
    assert info.query_order_by_oid(address, 1) == {"status": "unknownOid"}
    assert info.spot_user_state(address) == {"balances": []}
    assert [name for name, _ in info.portfolio(address)][:4] == ["day", "week", "month", "allTime"]
    assert Decimal(info.user_staking_summary(address)["delegated"]) == 0
    info.query_referral_state(address)
    info.query_user_to_multi_sig_signers(address)
    info.query_user_dex_abstraction_state(address)
    nobody = info.user_state("0x" + 40 * "E")
    assert nobody["marginSummary"]["accountValue"] == "0.0"


# ── orders ───────────────────────────────────────────────────────────────────────────────────


def test_resting_orders_their_queries_and_their_end(trader: Trader) -> None:
    cloid = Cloid.from_str("0x000000000000000000065d27f23d749f")
    price, size = trader.price("SOL", 0.9), trader.size("SOL", 500)
    answer = trader.exchange.order("SOL", True, size, price, {"limit": {"tif": "Gtc"}}, cloid=cloid)
    resting = status(answer)["resting"]
    assert resting["cloid"] == cloid.to_raw()
    oid = resting["oid"]
    (order,) = trader.info.open_orders(trader.address)
    assert (order["oid"], order["side"], order["cloid"]) == (oid, "B", cloid.to_raw())
    assert (float(order["limitPx"]), float(order["sz"]), float(order["origSz"])) == (price, size, size)
    (detailed,) = trader.info.frontend_open_orders(trader.address)
    assert (detailed["orderType"], detailed["tif"], detailed["isTrigger"]) == ("Limit", "Gtc", False)
    by_oid = trader.info.query_order_by_oid(trader.address, oid)
    assert by_oid == trader.info.query_order_by_cloid(trader.address, cloid)
    assert (by_oid["status"], by_oid["order"]["status"]) == ("order", "open")
    assert float(trader.info.user_state(trader.address)["withdrawable"]) < BALANCE, "resting orders hold margin"

    canceled = trader.exchange.cancel_by_cloid("SOL", cloid)
    assert canceled["response"] == {"type": "cancel", "data": {"statuses": ["success"]}}
    assert trader.info.query_order_by_oid(trader.address, oid)["order"]["status"] == "canceled"
    again = trader.exchange.cancel("SOL", oid)
    asset = trader.info.name_to_asset("SOL")
    text = f"Order was never placed, already canceled, or filled. asset={asset}"
    assert again["response"]["data"]["statuses"] == [{"error": text}]

    alo = trader.exchange.order("SOL", True, size, trader.price("SOL", 1.05), {"limit": {"tif": "Alo"}})
    assert status(alo)["error"].startswith("Post only order would have immediately matched, bbo was ")
    ioc = trader.exchange.order("SOL", True, size, price, {"limit": {"tif": "Ioc"}})
    assert status(ioc)["error"] == f"Order could not immediately match against any resting orders. asset={asset}"
    history = trader.info.historical_orders(trader.address)
    assert [row["status"] for row in history[:3]] == ["iocCancelRejected", "badAloPxRejected", "canceled"]

    first = status(trader.exchange.order("SOL", True, size, price, {"limit": {"tif": "Gtc"}}))["resting"]["oid"]
    second = status(trader.exchange.order("ETH", True, 0.5, trader.price("ETH", 0.9), {"limit": {"tif": "Gtc"}}))
    ended = trader.exchange.bulk_cancel(
        [{"coin": "SOL", "oid": first}, {"coin": "ETH", "oid": second["resting"]["oid"]}]
    )
    assert ended["response"]["data"]["statuses"] == ["success", "success"]
    assert trader.oids() == set()


def test_market_orders_and_everything_that_follows_from_fills(trader: Trader) -> None:
    size = trader.size("ETH", 5_000)
    cloid = Cloid.from_int(77)
    filled = status(trader.exchange.market_open("ETH", True, size, cloid=cloid))["filled"]
    assert (float(filled["totalSz"]), filled["cloid"]) == (size, cloid.to_raw())
    assert abs(float(filled["avgPx"]) / trader.mid("ETH") - 1) < 0.02
    assert float(trader.position("ETH")) == size

    fills = trader.info.user_fills(trader.address)
    assert {fill["oid"] for fill in fills} == {filled["oid"]}
    assert sum(Decimal(fill["sz"]) for fill in fills) == Decimal(filled["totalSz"])
    notional = sum(Decimal(fill["px"]) * Decimal(fill["sz"]) for fill in fills)
    fees = sum(Decimal(fill["fee"]) for fill in fills)
    assert abs(fees - notional * Decimal("0.00045")) < Decimal("0.000001") * len(fills)
    assert all(fill["crossed"] and fill["dir"] == "Open Long" and fill["feeToken"] == "USDC" for fill in fills)
    by_time = trader.info.user_fills_by_time(trader.address, fills[-1]["time"], fills[0]["time"])
    assert {fill["tid"] for fill in by_time} == {fill["tid"] for fill in fills}
    public = requests.post(f"{trader.url}/info", json={"type": "recentTrades", "coin": "ETH"}, timeout=5).json()
    assert {fill["tid"] for fill in fills} <= {trade["tid"] for trade in public}, "the tape shows what we traded"

    state = trader.info.user_state(trader.address)
    (held,) = (each["position"] for each in state["assetPositions"])
    assert (held["coin"], held["leverage"]) == ("ETH", {"type": "cross", "value": 20})
    value = Decimal(state["marginSummary"]["accountValue"])
    expected = Decimal(100_000) - fees + Decimal(held["unrealizedPnl"])
    assert abs(value - expected) < Decimal("0.00001")
    assert abs(Decimal(held["marginUsed"]) * 20 - Decimal(held["positionValue"])) < Decimal("0.001")
    assert Decimal(trader.info.user_rate_limit(trader.address)["cumVlm"]) > 4_900

    closed = status(trader.exchange.market_close("ETH"))["filled"]
    assert float(closed["totalSz"]) == size and trader.position("ETH") == 0
    assert trader.exchange.market_close("ETH") is None, "the SDK finds no position"
    closing = [fill for fill in trader.info.user_fills(trader.address) if fill["oid"] == closed["oid"]]
    assert all(fill["dir"] == "Close Long" for fill in closing)
    pnl = sum(Decimal(fill["closedPnl"]) - Decimal(fill["fee"]) for fill in closing) - fees
    value = Decimal(trader.info.user_state(trader.address)["marginSummary"]["accountValue"])
    assert abs(value - 100_000 - pnl) < Decimal("0.00001")


def test_tp_sl_groups(trader: Trader) -> None:
    """A bracket around an entry that fills, then position TP/SL."""
    size = trader.size("SOL", 1_000)

    def child(kind: str, factor: float) -> dict[str, Any]:
        trigger = {"isMarket": True, "triggerPx": trader.price("SOL", factor), "tpsl": kind}
        bound = trader.price("SOL", factor * 0.9)
        return {
            "coin": "SOL", "is_buy": False, "sz": size, "limit_px": bound,
            "order_type": {"trigger": trigger}, "reduce_only": True,
        }  # fmt: skip

    entry = {
        "coin": "SOL", "is_buy": True, "sz": size, "limit_px": trader.price("SOL", 0.95),
        "order_type": {"limit": {"tif": "Gtc"}}, "reduce_only": False,
    }  # fmt: skip
    group: Any = [entry, child("tp", 1.2), child("sl", 0.8)]
    answer = trader.exchange.bulk_orders(group, grouping="normalTpsl")
    parent = status(answer)["resting"]["oid"]
    assert [status(answer, place) for place in (1, 2)] == ["waitingForFill", "waitingForFill"]
    (shown,) = trader.info.frontend_open_orders(trader.address)
    assert {each["orderType"] for each in shown["children"]} == {"Take Profit Market", "Stop Market"}
    trader.exchange.cancel("SOL", parent)
    assert trader.info.frontend_open_orders(trader.address) == []

    entry["limit_px"], entry["order_type"] = trader.price("SOL", 1.04), {"limit": {"tif": "Ioc"}}
    answer = trader.exchange.bulk_orders(group, grouping="normalTpsl")
    assert float(status(answer)["filled"]["totalSz"]) == size
    waiting = trader.info.frontend_open_orders(trader.address)
    assert {(each["isTrigger"], each["reduceOnly"]) for each in waiting} == {(True, True)}
    assert sorted(each["orderType"] for each in waiting) == ["Stop Market", "Take Profit Market"]

    pair: Any = [child("tp", 1.3) | {"sz": 0.0}, child("sl", 0.7) | {"sz": 0.0}]
    answer = trader.exchange.bulk_orders(pair, grouping="positionTpsl")
    assert [status(answer, place) for place in (0, 1)] == ["waitingForTrigger", "waitingForTrigger"]
    assert len(trader.info.frontend_open_orders(trader.address)) == 4
    wrong: Any = [child("sl", 1.1)]
    assert "Invalid TP/SL price." in status(trader.exchange.bulk_orders(wrong))["error"]
    trader.exchange.market_close("SOL")
    assert trader.info.frontend_open_orders(trader.address) == [], "they end with the position"
    ends = {row["status"] for row in trader.info.historical_orders(trader.address)[:6]}
    assert "reduceOnlyCanceled" in ends


def test_modify(trader: Trader) -> None:
    price, size = trader.price("SOL", 0.9), trader.size("SOL", 500)
    old = status(trader.exchange.order("SOL", True, size, price, {"limit": {"tif": "Gtc"}}))["resting"]["oid"]
    lower = trader.price("SOL", 0.88)
    answer = trader.exchange.modify_order(old, "SOL", True, size, lower, {"limit": {"tif": "Gtc"}})
    new = status(answer)["resting"]["oid"]
    assert new > old
    (order,) = trader.info.frontend_open_orders(trader.address)
    assert (order["oid"], float(order["limitPx"]), order["tif"]) == (new, lower, "Alo")
    gone = trader.exchange.modify_order(old, "SOL", True, size, lower, {"limit": {"tif": "Gtc"}})
    assert "Cannot modify canceled or filled order" in status(gone)["error"]
    changes: Any = [
        {"oid": new, "order": {
            "coin": "SOL", "is_buy": True, "sz": size, "limit_px": price,
            "order_type": {"limit": {"tif": "Alo"}}, "reduce_only": False,
        }},
    ]  # fmt: skip
    again = status(trader.exchange.bulk_modify_orders_new(changes))["resting"]["oid"]
    assert trader.oids() == {again}
    high = trader.price("SOL", 1.05)
    lost = trader.exchange.modify_order(again, "SOL", True, size, high, {"limit": {"tif": "Gtc"}})
    assert status(lost)["error"].startswith("Error placing new order during modify: Post only order")
    assert trader.oids() == set(), "the old order is gone"


def test_bulk_orders_fail_one_by_one(trader: Trader) -> None:
    def order(price: float, size: float, **more: Any) -> dict[str, Any]:
        limit = {"limit": {"tif": "Gtc"}}
        made = {"coin": "SOL", "is_buy": True, "sz": size, "limit_px": price, "order_type": limit}
        return made | {"reduce_only": False} | more

    price, size = trader.price("SOL", 0.9), trader.size("SOL", 500)
    batch: Any = [
        order(price, size),
        order(price, 0.01),
        order(round(price, 2) + 0.001234, size),
        order(price, size, reduce_only=True),
        order(price, trader.size("SOL", 900_000_000)),
        order(price, size, is_buy=False, limit_px=trader.price("SOL", 1.1)),
    ]
    answer = trader.exchange.bulk_orders(batch)
    texts = [status(answer, place).get("error", "") for place in range(6)]
    asset = trader.info.name_to_asset("SOL")
    assert texts[0] == texts[5] == ""
    assert texts[1] == f"Order must have minimum value of $10. asset={asset}"
    assert texts[2] == f"Price must be divisible by tick size. asset={asset}"
    assert texts[3] == f"Reduce only order would increase position. asset={asset}"
    assert texts[4].startswith("Order value too large. Max is $")
    assert len(trader.oids()) == 2
    rejected = {row["status"] for row in trader.info.historical_orders(trader.address)}
    assert {"minTradeNtlRejected", "tickRejected", "reduceOnlyRejected"} <= rejected


def test_leverage_and_isolated_margin(trader: Trader) -> None:
    ok(trader.exchange.update_leverage(5, "HYPE", is_cross=False))
    ask = {"type": "activeAssetData", "user": trader.address, "coin": "HYPE"}
    data = requests.post(f"{trader.url}/info", json=ask, timeout=5).json()
    assert (data["leverage"]["type"], data["leverage"]["value"]) == ("isolated", 5)
    refused = trader.exchange.update_leverage(99, "HYPE")
    assert refused == {"status": "err", "response": "Invalid leverage value"}
    size = trader.size("HYPE", 1_000)
    status(trader.exchange.market_open("HYPE", False, size))["filled"]
    (held,) = (each["position"] for each in trader.info.user_state(trader.address)["assetPositions"])
    assert held["leverage"]["type"] == "isolated" and "rawUsd" in held["leverage"]
    before = Decimal(held["marginUsed"])
    assert abs(before - 200) < 25
    ok(trader.exchange.update_isolated_margin(50.0, "HYPE"))
    (held,) = (each["position"] for each in trader.info.user_state(trader.address)["assetPositions"])
    assert abs(Decimal(held["marginUsed"]) - before - 50) < 25
    assert Decimal(held["liquidationPx"]) > Decimal(held["entryPx"])
    switched = trader.exchange.update_leverage(5, "HYPE", is_cross=True)
    assert switched["response"] == "Cannot switch leverage type with open position."
    flat = trader.exchange.update_isolated_margin(50.0, "BTC")
    assert flat["response"] == "Cannot update margin for empty position."
    trader.exchange.market_close("HYPE")


def test_schedule_cancel(trader: Trader) -> None:
    early = trader.exchange.schedule_cancel(get_timestamp_ms() + 10_000)
    assert early["response"] == (
        "Cannot set scheduled cancel time until enough volume traded. Required: $1000000. Traded: $0.00."
    )
    ok(trader.exchange.update_leverage(40, "BTC"))
    size = trader.size("BTC", 40_000)
    while float(trader.info.user_rate_limit(trader.address)["cumVlm"]) < 1_000_000:
        status(trader.exchange.market_open("BTC", True, size))["filled"]
        status(trader.exchange.market_close("BTC"))["filled"]
    too_early = trader.exchange.schedule_cancel(get_timestamp_ms() + 2_000)
    assert too_early["response"] == "Scheduled cancel time too early, must be at least 5 seconds from now."
    rests = trader.exchange.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    oid = status(rests)["resting"]["oid"]
    ok(trader.exchange.schedule_cancel(get_timestamp_ms() + 5_500))
    ok(trader.exchange.schedule_cancel(None))
    ok(trader.exchange.schedule_cancel(get_timestamp_ms() + 5_500))
    assert trader.oids() == {oid}
    eventually(lambda: trader.oids() == set())
    assert trader.info.query_order_by_oid(trader.address, oid)["order"]["status"] == "scheduledCancel"


# ── who signs ────────────────────────────────────────────────────────────────────────────────


def test_agent(trader: Trader) -> None:
    answer, key = trader.exchange.approve_agent("bot")
    ok(answer)
    agent = Account.from_key(key)
    (listed,) = trader.info.extra_agents(trader.address)
    assert (listed["name"], listed["address"]) == ("bot", agent.address.lower())
    assert listed["validUntil"] > get_timestamp_ms() + 80 * 24 * HOUR_MS
    assert trader.info.user_role(agent.address) == {"role": "agent", "data": {"user": trader.address}}
    by_agent = Exchange(agent, trader.url, account_address=trader.address)
    rests = by_agent.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    assert trader.oids() == {status(rests)["resting"]["oid"]}
    assert trader.info.open_orders(agent.address) == [], "the agent itself owns nothing"
    refused = by_agent.usd_transfer(5.0, "0x" + 40 * "7")
    assert refused["status"] == "err" and "does not exist" in refused["response"]

    stranger = Exchange(Account.create(), trader.url, account_address=trader.address)
    refused = stranger.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    address = stranger.wallet.address.lower()
    assert refused == {"status": "err", "response": f"User or API Wallet {address} does not exist."}

    answer, second = trader.exchange.approve_agent("bot")
    ok(answer)
    replaced = by_agent.cancel("SOL", status(rests)["resting"]["oid"])
    assert replaced["response"] == f"User or API Wallet {agent.address.lower()} does not exist."
    unnamed, _ = trader.exchange.approve_agent()
    ok(unnamed)
    assert len(trader.info.extra_agents(trader.address)) == 1, "only named ones are listed"
    assert Account.from_key(second).address.lower() == trader.info.extra_agents(trader.address)[0]["address"]


def test_expiry_and_money(trader: Trader) -> None:
    """`expiresAfter`, noop, transfers, sub-accounts, withdrawals."""
    trader.exchange.set_expires_after(get_timestamp_ms() - 1_000)
    stale = trader.exchange.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    assert stale["status"] == "err" and "expired" in stale["response"]
    trader.exchange.set_expires_after(get_timestamp_ms() + 60_000)
    fresh = trader.exchange.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    oid = status(fresh)["resting"]["oid"]
    trader.exchange.set_expires_after(None)
    nonce = get_timestamp_ms()
    ok(trader.exchange.noop(nonce))
    assert trader.exchange.noop(nonce)["response"] == f"Invalid nonce: duplicate nonce {nonce}"
    old = nonce - 3 * 24 * HOUR_MS
    assert trader.exchange.noop(old)["response"].startswith(f"Invalid nonce: nonce too low {old} < ")
    ahead = nonce + 2 * 24 * HOUR_MS
    assert trader.exchange.noop(ahead)["response"].startswith(f"Invalid nonce: nonce too high {ahead} > ")

    ok(trader.exchange.usd_class_transfer(100.0, to_perp=False))
    (usdc,) = trader.info.spot_user_state(trader.address)["balances"]
    assert (usdc["coin"], Decimal(usdc["total"])) == ("USDC", Decimal(100))
    ok(trader.exchange.usd_class_transfer(100.0, to_perp=True))
    friend = "0x" + 40 * "5"
    ok(trader.exchange.usd_transfer(25.0, friend))
    assert Decimal(trader.info.user_state(friend)["marginSummary"]["accountValue"]) == 25
    made = trader.exchange.create_sub_account("second")
    assert made["response"]["type"] == "createSubAccount"
    sub_account = made["response"]["data"]
    ok(trader.exchange.sub_account_transfer(sub_account, True, 50_000_000))
    (listed,) = trader.info.query_sub_accounts(trader.address)
    assert (listed["name"], listed["subAccountUser"], listed["master"]) == ("second", sub_account, trader.address)
    assert Decimal(listed["clearinghouseState"]["marginSummary"]["accountValue"]) == 50
    assert trader.info.user_role(sub_account) == {"role": "subAccount", "data": {"master": trader.address}}
    for_sub = Exchange(trader.wallet, trader.url, vault_address=sub_account)
    rests = for_sub.order("SOL", True, trader.size("SOL", 20), trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}})
    sub_oid = status(rests)["resting"]["oid"]
    assert [each["oid"] for each in trader.info.open_orders(sub_account)] == [sub_oid]
    assert trader.oids() == {oid}
    ok(trader.exchange.withdraw_from_bridge(10.0, trader.address))
    kinds = [row["delta"]["type"] for row in trader.info.user_non_funding_ledger_updates(trader.address, 0)]
    assert set(kinds) >= {"deposit", "accountClassTransfer", "internalTransfer", "subAccountTransfer", "withdraw"}


# ── streams ──────────────────────────────────────────────────────────────────────────────────


def test_every_perp_channel(venue: Ready, trader: Trader) -> None:
    """Subscribe to everything that the SDK knows for perps, trade, and find the same story in every channel."""
    heard: dict[str, list[Any]] = {}
    info = Info(venue["url"])
    try:
        user = {"user": trader.address}
        subscriptions: list[dict[str, Any]] = [
            {"type": "allMids"},
            {"type": "l2Book", "coin": "SOL"},
            {"type": "bbo", "coin": "SOL"},
            {"type": "trades", "coin": "SOL"},
            {"type": "candle", "coin": "SOL", "interval": "1m"},
            {"type": "activeAssetCtx", "coin": "SOL"},
            {"type": "activeAssetData", "coin": "SOL", **user},
            {"type": "userEvents", **user},
            {"type": "userFills", **user},
            {"type": "orderUpdates", **user},
            {"type": "userFundings", **user},
            {"type": "userNonFundingLedgerUpdates", **user},
            {"type": "webData2", **user},
        ]
        numbers = {}
        for subscription in subscriptions:
            name = subscription["type"]
            heard[name] = []
            subscription_copy: Any = dict(subscription)
            numbers[name] = info.subscribe(subscription_copy, heard[name].append)
        snapshots = ("userFills", "userFundings", "userNonFundingLedgerUpdates")
        for name in ("l2Book", "bbo", "trades", "activeAssetCtx", "activeAssetData", *snapshots, "webData2"):
            eventually(lambda name=name: heard[name])  # type: ignore[misc]
        assert [heard[name][0]["data"]["isSnapshot"] for name in snapshots] == [True, True, True]
        assert heard["orderUpdates"] == heard["userEvents"] == [], "these have no snapshot"

        size = trader.size("SOL", 2_000)
        filled = status(trader.exchange.market_open("SOL", True, size))["filled"]
        rests = status(trader.exchange.order("SOL", True, 2.0, trader.price("SOL", 0.9), {"limit": {"tif": "Gtc"}}))
        trader.exchange.cancel("SOL", rests["resting"]["oid"])

        def steps(oid: int) -> list[str]:
            rows = [row for frame in heard["orderUpdates"] for row in frame["data"]]
            return [row["status"] for row in rows if row["order"]["oid"] == oid]

        eventually(lambda: steps(rests["resting"]["oid"]) == ["open", "canceled"])
        assert steps(filled["oid"]) == ["open", "filled"]
        frame = next(each for each in heard["orderUpdates"] if each["data"][0]["order"]["oid"] == filled["oid"])
        assert [row["status"] for row in frame["data"]] == ["open", "filled"], "both in one frame"
        new = eventually(lambda: [each for each in heard["userFills"] if "isSnapshot" not in each["data"]])
        streamed = {fill["tid"] for each in new for fill in each["data"]["fills"]}
        assert streamed == {fill["tid"] for fill in trader.info.user_fills(trader.address)}
        events = {fill["tid"] for each in heard["userEvents"] for fill in each["data"].get("fills", [])}
        assert events == streamed
        eventually(lambda: streamed <= {trade["tid"] for each in heard["trades"] for trade in each["data"]})
        candle = eventually(lambda: heard["candle"])[-1]["data"]
        assert (candle["s"], candle["i"], candle["T"] - candle["t"]) == ("SOL", "1m", 59_999)
        mids = eventually(lambda: heard["allMids"])[-1]["data"]["mids"]
        assert abs(float(mids["SOL"]) / trader.mid("SOL") - 1) < 0.05
        best = heard["bbo"][-1]["data"]["bbo"]
        assert float(best[0]["px"]) < float(best[1]["px"])
        assert heard["activeAssetData"][0]["data"]["leverage"] == {"type": "cross", "value": 20}
        assert heard["webData2"][0]["data"]["clearinghouseState"]["withdrawable"]

        for subscription in subscriptions:
            again: Any = dict(subscription)
            assert info.unsubscribe(again, numbers[subscription["type"]])
        time.sleep(0.5)
        counts = {name: len(frames) for name, frames in heard.items()}
        time.sleep(1.5)
        assert {name: len(frames) for name, frames in heard.items()} == counts, "silence after unsubscribing"
    finally:
        info.disconnect_websocket()
        trader.exchange.market_close("SOL")
