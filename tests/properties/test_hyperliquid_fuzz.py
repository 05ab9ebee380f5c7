"""Whatever arrives, the decoder answers with a heard value, and what it delivers is possible.

A million damaged frames in the gate, twenty million with `--long`. Frames are the recorded ones where they are present,
and always made ones of every channel, so that nothing here depends on the recordings.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from adapters.hyperliquid import wire_account, wire_orders, wire_rest
from adapters.hyperliquid.heard import (
    BboHeard,
    BookHeard,
    CandleHeard,
    ContextHeard,
    DecodeError,
    Drifted,
    FillsHeard,
    Heard,
    Ignored,
    MidsHeard,
    OrderUpdatesHeard,
    TradesHeard,
    UserEventsHeard,
)
from adapters.hyperliquid.wire_frames import decode_frame
from domain.candles import Interval, candle_problem
from domain.fills import Fill
from tests.hyperliquid_frames import (
    NOW_MS,
    OWN,
    candle_row,
    context,
    fill_row,
    funding_row,
    made_frames,
    order_row,
    recorded_frames,
    universe,
    update_row,
)

GATE_CHUNKS, GATE_FRAMES = 20, 50_000
LONG_CHUNKS, LONG_FRAMES = 20, 1_000_000
LONGEST_FRAME = 1_500
FRAMES_PER_KIND = 12

KINDS = frozenset(get_args(Heard))
COINS = universe()
INFINITE = float("inf")

# What a changed or broken venue might put where something else stood.
TOKENS = (
    *(
        b"null",
        b"true",
        b"{}",
        b"[]",
        b"0",
        b"-1",
        b'""',
        b'"0.0"',
        b'"-1.0"',
        b'"nan"',
        b'"inf"',
        b'"1e999"',
        b"1e999",
    ),
    *(
        b'"NaN"',
        b"9223372036854775808",
        b"1790232237.5",
        b'"BTC"',
        b'"@107"',
        b'"xyz:CL"',
        b'"\\ud800"',
        b"\xff",
        b"\x00",
    ),
    *(b'"1_0"', b'"1m"', b'"1M"', b'"B"', b'"open"', b'"px"', b'"coin"', b"1" * 40, b"[" * 30, b'{"a":' * 5, b'"5.0"'),
)
MARKS = b'{}[]",:'


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """The frame after one to three accidents."""
    pick = chance.random
    for _ in range(1 + int(pick() * pick() * 3)):
        size = len(raw)
        if size < 2:
            return raw
        place = int(pick() * size)
        way = int(pick() * 8)
        if way < 3:  # a token where another stood
            start = raw.find(b":", place)
            if start < 0:
                continue
            end = start + 1
            while end < size and raw[end] not in b',}]"':
                end += 1
            if end == start + 1 and end < size and raw[end] == 34:
                end = raw.find(b'"', end + 1) + 1 or size
            raw = raw[: start + 1] + TOKENS[int(pick() * len(TOKENS))] + raw[end:]
        elif way == 3:  # one byte
            raw = raw[:place] + bytes((int(pick() * 256),)) + raw[place + 1 :]
        elif way == 4:  # a piece is missing
            raw = raw[:place] + raw[place + 1 + int(pick() * 12) :]
        elif way == 5:  # a piece twice
            piece = raw[place : place + 1 + int(pick() * 40)]
            raw = raw[:place] + piece + raw[place:]
        elif way == 6:  # a digit
            digits = raw[:place].rstrip(b"0123456789")
            cut = min(len(digits), size - 1)
            raw = raw[:cut] + b"0123456789"[int(pick() * 10) :][:1] + raw[cut + 1 :]
        else:  # a mark of JSON
            raw = raw[:place] + MARKS[int(pick() * 7) :][:1] + raw[place + 1 :]
    return raw


def _possible(heard: Heard) -> bool:
    """Whether a delivered value could be true."""
    kind = type(heard)
    if kind is Drifted or kind is Ignored:
        return True
    match heard:
        case BboHeard(coin=coin, bid=bid, ask=ask):
            fits = all(side is None or 0.0 < side < INFINITE for side in (bid, ask))
            return coin in COINS and fits and (bid is None or ask is None or bid <= ask)
        case CandleHeard() as candle:
            problem = candle_problem(candle.open, candle.high, candle.low, candle.close, candle.volume)
            aligned = candle.open_ms % candle.interval.ms == 0
            return problem is None and aligned and candle.end_ms == candle.open_ms + candle.interval.ms - 1
        case TradesHeard(trades=trades):
            return all(0.0 < trade.price < INFINITE and 0.0 < trade.size < INFINITE for trade in trades)
        case BookHeard(bids=bids, asks=asks):
            return all(0.0 < price < INFINITE for side in (bids, asks) for price, _ in side)
        case ContextHeard(mark=mark, oracle=oracle):
            return 0.0 < mark < INFINITE and 0.0 < oracle < INFINITE
        case MidsHeard(mids=mids):
            return all(coin in COINS and 0.0 < price < INFINITE for coin, price in mids.items())
        case FillsHeard(fills=fills) | UserEventsHeard(fills=fills):
            return all(_is_possible_fill(fill) for fill in fills)
        case OrderUpdatesHeard(updates=updates):
            return all(update.size.is_finite() and update.size >= 0 and update.oid >= 0 for update in updates)
        case _:
            return True


def _is_possible_fill(fill: Fill) -> bool:
    finite = fill.price.is_finite() and fill.size.is_finite() and fill.fee.is_finite()
    return finite and fill.price > 0 and fill.size > 0 and 0 <= fill.tid < 2**63 and 0 <= fill.oid < 2**63


@cache
def _frames() -> tuple[bytes, ...]:
    """Short frames of every kind: recorded ones, as far as there are any, and made ones."""
    found = [raw.encode() for raw in made_frames()]
    beside_us = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("AIQ_SHARED_DATA", beside_us))
    if (folder / "ws").is_dir():
        seen: Counter[str] = Counter()
        for name, raw in recorded_frames(folder):
            kind = f"{name}:{type(decode_frame(raw, COINS)).__name__}"
            seen[kind] += 1
            if len(raw) <= LONGEST_FRAME and seen[kind] <= FRAMES_PER_KIND:
                found.append(raw.encode())
    return tuple(found)


def _survives(seed: int, count: int) -> None:
    chance = random.Random(seed)
    frames = _frames()
    kinds: Counter[type] = Counter()
    for _ in range(count):
        raw = damaged(frames[int(chance.random() * len(frames))], chance)
        try:
            # Recorded frames are of many days: most are read without a now.
            heard = decode_frame(raw, COINS, OWN, NOW_MS if chance.random() < 0.2 else None)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}: {raw!r}") from error
        kinds[type(heard)] += 1
        assert _possible(heard), f"seed {seed}: {heard}: {raw!r}"
    assert set(kinds) <= KINDS
    # The accidents are worth something only if many frames are damaged, and many are not beyond recognition.
    assert 0.2 * count < kinds[Drifted] < 0.95 * count, kinds


@pytest.mark.parametrize("chunk", range(GATE_CHUNKS))
def test_no_damaged_frame_gets_through(chunk: int) -> None:
    _survives(chunk, GATE_FRAMES)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", range(LONG_CHUNKS))
def test_no_damaged_frame_gets_through_for_long(chunk: int) -> None:
    _survives(1_000 + chunk, LONG_FRAMES)


# ── answers ──────────────────────────────────────────────────────────────────────────────────

ASSET = {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56}
TABLES = [[56, {"marginTiers": [{"lowerBound": "0.0", "maxLeverage": 40}, {"lowerBound": "9.0", "maxLeverage": 2}]}]]
STATE = {
    "marginSummary": {"accountValue": "83.3", "totalMarginUsed": "7.5"},
    "withdrawable": "75.7",
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "HYPE",
                "szi": "2.0",
                "leverage": {"type": "isolated", "value": 10, "rawUsd": "-68.1"},
                "entryPx": "37.8",
                "positionValue": "75.6",
                "unrealizedPnl": "-0.006",
                "marginUsed": "7.5",
            },
        }
    ],
    "time": NOW_MS,
}
STATUSES = [
    {"resting": {"oid": 1}},
    {"filled": {"totalSz": "0.02", "avgPx": "1.4", "oid": 2}},
    {"error": "x"},
    "success",
]
ANSWERS: Sequence[tuple[Callable[[bytes], object], object]] = (
    (lambda body: wire_orders.decode_fills(body, OWN), [fill_row(), fill_row(coin="@107")]),
    (
        wire_orders.decode_fundings,
        [{"time": NOW_MS, "delta": {k: v for k, v in funding_row().items() if k != "time"} | {"type": "funding"}}],
    ),
    (wire_orders.decode_order_status, {"status": "order", "order": update_row()}),
    (wire_orders.decode_order_history, [update_row(), update_row("canceled")]),
    (wire_orders.decode_open_orders, [order_row(children=[order_row(oid=5, isTrigger=True, triggerPx="9.0")])]),
    (wire_account.decode_account_state, STATE),
    (wire_account.decode_spot_state, {"balances": [{"coin": "USDC", "total": "2.7", "hold": "0.0"}]}),
    (wire_account.decode_user_role, {"role": "agent", "data": {"user": OWN}}),
    (wire_account.decode_extra_agents, [{"name": "bot", "address": OWN, "validUntil": NOW_MS}]),
    (wire_account.decode_rate_limit, {"cumVlm": "3.5", "nRequestsUsed": 2, "nRequestsCap": 10_357}),
    (wire_account.decode_fee_rates, {"userCrossRate": "0.0003", "userAddRate": "0.0001"}),
    (
        wire_account.decode_asset_settings,
        {
            "user": OWN,
            "coin": "BTC",
            "leverage": {"type": "cross", "value": 20},
            "maxTradeSzs": ["0.5", "0.5"],
            "availableToTrade": ["4.0", "4.0"],
            "markPx": "8.0",
        },
    ),
    (wire_rest.decode_meta, {"universe": [ASSET], "marginTables": TABLES}),
    (wire_rest.decode_meta_and_contexts, [{"universe": [ASSET], "marginTables": TABLES}, [context()]]),
    (wire_rest.decode_all_mids, {"BTC": "1.5", "@1": "2.0"}),
    (lambda body: wire_rest.decode_candles(body, "BTC", Interval.M1, NOW_MS), [candle_row()]),
    (
        lambda body: wire_rest.decode_funding_history(body, "BTC"),
        [{"coin": "BTC", "fundingRate": "0.1", "premium": "0.1", "time": NOW_MS}],
    ),
)


def test_no_damaged_answer_raises_anything_but_a_decode_error() -> None:
    chance = random.Random(7)
    for decode, whole in ANSWERS:
        raw = json.dumps(whole, separators=(",", ":")).encode()
        decode(raw)  # the whole one is fine
        refused = 0
        for _ in range(6_000):
            body = damaged(raw, chance)
            try:
                decode(body)
            except DecodeError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{type(error).__name__}: {error}: {body!r}") from error
        assert refused > 1_000
