"""Seeded nonsense for the local venue: requests that are almost right, and things that are no requests at all."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

from coincurve import PrivateKey

from adapters.sim.venue.chain.actions import canonical, decode_envelope
from adapters.sim.venue.chain.signing import L1_PREFIX, TESTNET_HEAD, action_hash, keccak

USER = "0x" + 40 * "a"
CLOID = "0x000000000000000000065d27f23d749f"
_LIMIT = {"limit": {"tif": "Gtc"}}
_TRIGGER = {"trigger": {"isMarket": True, "triggerPx": "50000", "tpsl": "sl"}}
_ORDER = {"a": 0, "b": True, "p": "40000", "s": "0.001", "r": False, "t": _LIMIT, "c": CLOID}

INFO_TYPES = (
    "meta", "metaAndAssetCtxs", "allMids", "perpDexs", "spotMeta", "spotMetaAndAssetCtxs", "allPerpMetas",
    "exchangeStatus", "perpsAtOpenInterestCap", "maxMarketOrderNtls", "predictedFundings",
)  # fmt: skip
USER_TYPES = (
    "clearinghouseState", "spotClearinghouseState", "openOrders", "frontendOpenOrders", "historicalOrders",
    "userFills", "userFees", "userRateLimit", "userRole", "extraAgents", "subAccounts", "userAbstraction",
    "portfolio", "referral", "userVaultEquities", "delegations", "userTwapSliceFills", "webData2", "nonsense",
)  # fmt: skip
SPAN = {"startTime": 1_700_000_000_000, "endTime": 1_800_000_000_000}
INFO_REQUESTS: tuple[dict[str, Any], ...] = (
    *({"type": name, "dex": ""} for name in INFO_TYPES),
    *({"type": name, "user": USER, "dex": ""} for name in USER_TYPES),
    {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 2},
    {"type": "candleSnapshot", "req": {"coin": "BTC", "interval": "1m", **SPAN}},
    {"type": "recentTrades", "coin": "BTC"},
    {"type": "fundingHistory", "coin": "BTC", **SPAN},
    {"type": "userFunding", "user": USER, **SPAN},
    {"type": "userFillsByTime", "user": USER, **SPAN, "aggregateByTime": False, "reversed": True},
    {"type": "userNonFundingLedgerUpdates", "user": USER, **SPAN},
    {"type": "orderStatus", "user": USER, "oid": 7},
    {"type": "orderStatus", "user": USER, "oid": CLOID},
    {"type": "activeAssetData", "user": USER, "coin": "BTC"},
    {"type": "maxBuilderFee", "user": USER, "builder": USER},
    {"type": "marginTable", "id": 56},
)
_USER_SIGNED = {"signatureChainId": "0x66eee", "hyperliquidChain": "Testnet"}
ACTIONS: tuple[dict[str, Any], ...] = (
    {"type": "order", "orders": [_ORDER], "grouping": "na"},
    {"type": "order", "orders": [_ORDER, {**_ORDER, "r": True, "t": _TRIGGER}], "grouping": "normalTpsl"},
    {"type": "order", "orders": [{**_ORDER, "s": "0", "r": True, "t": _TRIGGER}], "grouping": "positionTpsl"},
    {"type": "order", "orders": [_ORDER], "grouping": {"p": 12_345}, "builder": {"b": USER, "f": 10}},
    {"type": "cancel", "cancels": [{"a": 0, "o": 1_000_001}]},
    {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]},
    {"type": "modify", "oid": 1_000_001, "order": _ORDER},
    {"type": "batchModify", "modifies": [{"oid": CLOID, "order": _ORDER}]},
    {"type": "scheduleCancel", "time": 1_800_000_000_000},
    {"type": "scheduleCancel"},
    {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 5},
    {"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 1_000_000},
    {"type": "topUpIsolatedOnlyMargin", "asset": 0, "leverage": "1.5"},
    {"type": "noop"},
    {"type": "reserveRequestWeight", "weight": 10},
    {"type": "createSubAccount", "name": "second"},
    {"type": "subAccountTransfer", "subAccountUser": USER, "isDeposit": True, "usd": 10},
    {"type": "twapOrder", "twap": {"a": 0, "b": True, "s": "1", "r": False, "m": 5, "t": True}},
    {"type": "usdSend", **_USER_SIGNED, "destination": USER, "amount": "1", "time": 1},
    {"type": "approveAgent", **_USER_SIGNED, "agentAddress": USER, "agentName": "bot", "nonce": 1},
    {"type": "usdClassTransfer", **_USER_SIGNED, "amount": "1", "toPerp": False, "nonce": 1},
    {"type": "withdraw3", **_USER_SIGNED, "destination": USER, "amount": "1", "time": 1},
)
_SUBSCRIPTIONS: tuple[dict[str, Any], ...] = (
    {"type": "allMids"},
    {"type": "bbo", "coin": "BTC"},
    {"type": "l2Book", "coin": "ETH", "nSigFigs": 5, "mantissa": 2, "fast": True},
    {"type": "trades", "coin": "BTC"},
    {"type": "candle", "coin": "BTC", "interval": "1m"},
    {"type": "activeAssetCtx", "coin": "BTC"},
    {"type": "activeAssetData", "coin": "BTC", "user": USER},
    {"type": "userEvents", "user": USER},
    {"type": "userFills", "user": USER, "aggregateByTime": True},
    {"type": "clearinghouseState", "user": USER, "dex": ""},
    {"type": "webData3", "user": USER},
    {"type": "fastAssetCtxs"},
)
FRAMES: tuple[dict[str, Any], ...] = (
    *({"method": "subscribe", "subscription": each} for each in _SUBSCRIPTIONS),
    *({"method": "unsubscribe", "subscription": each} for each in _SUBSCRIPTIONS),
    {"method": "ping"},
    {"method": "post", "id": 3, "request": {"type": "info", "payload": {"type": "l2Book", "coin": "ETH"}}},
    {"method": "post", "id": 4, "request": {"type": "action", "payload": {"action": {"type": "noop"}, "nonce": 1}}},
)
_JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**400, -(10**30), 0.5, -0.0, 1e308, "", " ", "0", "-0",
    "-1", "1e5", "1E-9", "+1", "01", "NaN", "Infinity", "0x", "0xZZ", 10_000 * "9", "0." + 5_000 * "1", "BTC", "btc",
    "BTC\u0000", "\ud7ff", "🦑", "'; drop table", [], {}, [[]], [None], {"": None}, {"type": "order"}, USER.upper(),
    "0x" + 39 * "a", "Ioc", "gtc", [1] * 500, "9" * 40, "100000000000000000000000000000000000000000",
)  # fmt: skip


def nonsense(chance: random.Random, valid: Sequence[dict[str, Any]]) -> Any:
    """One of `valid` with one to three of its parts replaced, removed, repeated or nested."""
    made = copy.deepcopy(chance.choice(valid))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        made = _spoil(chance, made)
    return made


def nonsense_bytes(chance: random.Random, valid: Sequence[dict[str, Any]]) -> bytes:
    """Mostly JSON; now and then cut, with a wrong byte, a wrong encoding, deep nesting, or nothing like it."""
    kind = chance.random()
    if kind < 0.02:
        return bytes(chance.getrandbits(8) for _ in range(chance.randrange(60)))
    if kind < 0.025:
        depth = chance.choice((100, 2_000, 50_000))
        return b'{"type":' + b"[" * depth + b"]" * chance.choice((0, depth)) + b"}"
    text = json.dumps(nonsense(chance, valid), ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind < 0.10:
        return text[: chance.randrange(len(text) + 1)]
    if kind < 0.16:
        place = chance.randrange(len(text))
        return text[:place] + bytes([chance.getrandbits(8)]) + text[place + 1 :]
    if kind < 0.18:
        return b"\xff\xfe" + text.decode("utf-8", "replace").encode("utf-16-le")
    return text


def signed(action: dict[str, Any], nonce: int, key: PrivateKey) -> dict[str, Any]:
    """An envelope whose signature is right for what the venue reads in the action, if it can read it at all."""
    body = {"action": action, "nonce": nonce, "signature": {"r": "0x1", "s": "0x2", "v": 27}, "vaultAddress": None}
    envelope = decode_envelope(body)
    if envelope is None:
        return body
    try:
        connection = action_hash(canonical(envelope.action), nonce, None, None)
    except (OverflowError, ValueError):
        return body
    digest = keccak(L1_PREFIX + keccak(TESTNET_HEAD + connection))
    made = key.sign_recoverable(digest, hasher=None)
    body["signature"] = {"r": "0x" + made[:32].hex(), "s": "0x" + made[32:64].hex(), "v": 27 + made[64]}
    return body


def _junk(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(_JUNK))


def _spoil(chance: random.Random, made: Any) -> Any:
    places = list(_places(made))
    if not places:
        return _junk(chance)
    holder, key = chance.choice(places)
    match chance.randrange(5):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.extend([holder[key]] * chance.choice((1, 3, 210)))
        case 2:
            holder[key] = [holder[key]]
        case 3 if isinstance(holder, dict):
            holder[chance.choice(("extra", "a", "type", "vaultAddress", "\u0000"))] = _junk(chance)
        case _:
            holder[key] = _junk(chance)
    return made


def _places(made: Any) -> Any:
    items = made.items() if isinstance(made, dict) else enumerate(made) if isinstance(made, list) else ()
    for key, value in list(items):
        yield made, key
        yield from _places(value)
