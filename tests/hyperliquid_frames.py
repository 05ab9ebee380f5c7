"""Frames of the venue for tests: the recorded ones where they are present, and made ones of the same shapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from domain.instruments import Instrument, Universe, single_tier

COINS = ("BTC", "ETH", "SOL", "HYPE", "kPEPE", "MATIC", "MOODENG", "FXS", "SHIA", "BANANA", "CASHCAT")
OWN = "0x360878d351f05975e25f1807a27895e1e5e004fb"
OTHER = "0x0000000000000000000000000000000000000003"
CLOID = "0xa19c0100020304050607080910111213"
NOW_MS = 1_790_232_237_145
HASH = "0x5f8b9c337a197c4061050434769793020e020019151c9b1203544786391d562b"


def universe(*coins: str) -> Universe:
    return Universe([Instrument(coin, 5, single_tier(40)) for coin in coins or COINS])


def frame(channel: str, data: object) -> str:
    """A frame as the venue writes it: no spaces."""
    return json.dumps({"channel": channel, "data": data}, separators=(",", ":"))


# ── made ─────────────────────────────────────────────────────────────────────────────────────


def bbo(bid: str = "84143.0", ask: str = "84144.0", coin: str = "BTC", time_ms: int = NOW_MS) -> str:
    return frame(
        "bbo",
        {
            "coin": coin,
            "time": time_ms,
            "bbo": [{"px": bid, "sz": "10.25", "n": 36}, {"px": ask, "sz": "50.6", "n": 18}],
        },
    )


def candle_row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "t": 1_790_232_180_000,
        "T": 1_790_232_239_999,
        "s": "BTC",
        "i": "1m",
        "o": "84143.0",
        "c": "84143.5",
        "h": "84144.0",
        "l": "84143.0",
        "v": "14.27847",
        "n": 114,
    }
    return row | changes


def fill_row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "coin": "BTC",
        "px": "79146.0",
        "sz": "0.001",
        "side": "A",
        "time": 1_769_940_855_551,
        "startPosition": "0.00093",
        "dir": "Long > Short",
        "closedPnl": "0.046128",
        "hash": HASH,
        "oid": 308254271324,
        "crossed": False,
        "fee": "0.019785",
        "builderFee": "0.007914",
        "tid": 404237815023429,
        "cloid": CLOID,
        "feeToken": "USDC",
        "twapId": None,
    }
    return row | changes


def order_row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "coin": "BTC",
        "side": "B",
        "limitPx": "64020.0",
        "sz": "1.17163",
        "oid": 502464968365,
        "timestamp": 1_784_976_929_583,
        "origSz": "1.5",
        "cloid": CLOID,
    }
    return row | changes


def update_row(status: str = "open", **changes: object) -> dict[str, object]:
    return {"order": order_row(**changes), "status": status, "statusTimestamp": 1_784_976_929_600}


def funding_row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "time": 1_790_232_000_012,
        "coin": "BTC",
        "usdc": "-0.601087",
        "szi": "0.55919",
        "fundingRate": "0.0000125",
        "nSamples": None,
    }
    return row | changes


def context() -> dict[str, object]:
    return {
        "funding": "0.0000018952",
        "openInterest": "36585.31848",
        "prevDayPx": "86627.0",
        "dayNtlVlm": "4161029539.6949653625",
        "premium": "-0.0006413454",
        "oraclePx": "84198.0",
        "markPx": "84148.0",
        "midPx": "84143.5",
        "impactPxs": ["84143.0", "84144.0"],
        "dayBaseVlm": "49116.08533",
    }


def trade_row(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "coin": "BTC",
        "side": "A",
        "px": "84143.0",
        "sz": "0.00036",
        "time": 1_790_232_216_193,
        "hash": HASH,
        "tid": 1045359869404765,
        "users": [OWN, OTHER],
    }
    return row | changes


def book(bids: list[str], asks: list[str]) -> str:
    levels = [[{"px": price, "sz": "1.5", "n": 2} for price in side] for side in (bids, asks)]
    return frame("l2Book", {"coin": "BTC", "time": NOW_MS, "levels": levels})


def made_frames() -> list[str]:
    """One or more of every channel that is decoded."""
    liquidation = {"liquidatedUser": OWN, "markPx": "66607.0", "method": "market"}
    answer = {"status": "ok", "response": {"type": "default"}}
    return [
        bbo(),
        frame("bbo", {"coin": "BTC", "time": NOW_MS, "bbo": [None, {"px": "84144.0", "sz": "1.0", "n": 1}]}),
        frame("candle", candle_row()),
        frame("candle", [candle_row(i="15m", t=1_790_231_400_000, T=1_790_232_299_999)]),
        frame("trades", [trade_row(), trade_row(side="B", tid=7)]),
        book(["84143.0", "84142.0"], ["84144.0"]),
        frame("activeAssetCtx", {"coin": "BTC", "ctx": context()}),
        frame("allMids", {"mids": {"BTC": "84143.5", "@107": "93.1", "PURR/USDC": "0.15"}}),
        frame("orderUpdates", [update_row(), update_row("filled", sz="0.0"), update_row(coin="@107")]),
        frame("userFills", {"isSnapshot": True, "user": OWN, "fills": [fill_row(), fill_row(coin="xyz:CL")]}),
        frame("user", {"fills": [fill_row(liquidation=liquidation)]}),
        frame("user", {"funding": funding_row()}),
        frame("user", {"nonUserCancel": [{"coin": "PNUT", "oid": 566615769247}]}),
        frame(
            "user",
            {
                "liquidation": {
                    "lid": 1,
                    "liquidator": OTHER,
                    "liquidated_user": OWN,
                    "liquidated_ntl_pos": "356.8",
                    "liquidated_account_value": "2.95",
                }
            },
        ),
        frame("userFundings", {"isSnapshot": True, "user": OWN, "fundings": [funding_row(), funding_row(nSamples=24)]}),
        frame(
            "userNonFundingLedgerUpdates",
            {
                "user": OWN,
                "nonFundingLedgerUpdates": [
                    {"time": NOW_MS, "hash": HASH, "delta": {"type": "deposit", "usdc": "200079.847397"}}
                ],
            },
        ),
        '{"channel":"pong"}',
        frame("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "bbo", "coin": "BTC"}}),
        frame("error", "Cannot track more than 15 total users."),
        frame("post", {"id": 256, "response": {"type": "action", "payload": answer}}),
        frame("post", {"id": 7, "response": {"type": "info", "payload": {"type": "l2Book", "data": None}}}),
        frame("post", {"id": 8, "response": {"type": "error", "payload": "500 Internal Server Error"}}),
        frame("webData3", {"userState": {}}),
    ]


# ── recorded ─────────────────────────────────────────────────────────────────────────────────


def sample_frames(samples: Path, name: str) -> list[str]:
    """The server's frames of one sample file."""
    document = json.loads((samples / name).read_text("utf-8"))
    return [json.dumps(part["frame"]) for part in document["frames"] if part["dir"] == "server->client"]


def recorded_frames(shared_data: Path) -> Iterator[tuple[str, str]]:
    """(file, frame) of everything that the venue ever sent over a WebSocket and somebody kept."""
    samples = shared_data.parent / "hyperliquid-samples"
    for path in sorted(samples.glob("ws_*.json")):
        for raw in sample_frames(samples, path.name):
            yield path.name, raw
    folder = shared_data / "ws"
    for line in (folder / "hl_single_frames.jsonl").read_text("utf-8").splitlines():
        single = json.loads(line)["frame"]
        if isinstance(single, dict) and "channel" in single:
            yield "hl_single_frames.jsonl", json.dumps(single)
    plain = folder / "hl_ws_frames_BTC_ETH_20260801.ndjson"
    for line in plain.read_text("utf-8").splitlines():
        yield plain.name, line
    for path in sorted(folder.glob("hl_ws_*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = line.strip()
                if text:
                    yield path.name, text if text.startswith("{") else text.split(" ", 1)[1]
