"""Real fills of real accounts, through the production decoder: their chains hold, and they come to what the venue says.

The recordings: a copy trader and the four accounts that it follows, one wallet's history of half a year, and every fill
of the venue in fifty seconds. Coins of builders' dexes are decoded under a plain name: they are perps like others.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.hyperliquid import wire_orders
from domain.fill_chain import Break, Folded, Owned, fold, in_execution_order
from domain.fills import Fill, FillCause, external_kind
from domain.positions import Position, adjust, apply_fill

NODE = "hl_node_fills_by_block_20251027_1700_part1.jsonl.gz"
COPY_TRADER = "hl_userFillsByTime_copytrade_202607.jsonl.gz"
WALLET = "hl_wallet_0xdae4_orders_fills_funding_to_20260601.json.gz"
SPOT = ("@", "/")
NO_HASH = "0x" + "0" * 64

Row = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """All fills of one account and coin, decoded, with the venue's rows by trade id."""

    user: str
    fills: list[Fill]
    rows: Mapping[str, Row]

    @property
    def start(self) -> Position:
        """What was held before the recording began: an opening balance of unknown price."""
        first = in_execution_order(self.fills)[0]
        assert first.start_position is not None
        return adjust(Position(first.symbol), first.start_position, first.price, first.time_ms).position

    def folded(self, fills: list[Fill] | None = None) -> Folded:
        return fold(self.start, [Owned(fill, None, "manual") for fill in (self.fills if fills is None else fills)])


def _accounts(folder: Path, name: str) -> Iterator[tuple[str, list[Row]]]:
    with gzip.open(folder / "account" / name, "rt", encoding="utf-8") as file:
        if name == WALLET:
            whole = json.load(file)
            yield whole["user"], whole["userFillsByTime"]
            return
        lines = [json.loads(line) for line in file]
    if name == COPY_TRADER:
        yield from ((f"{line['role']} {line['slot']}", line["fills"]) for line in lines)
        return
    by_user: defaultdict[str, list[Row]] = defaultdict(list)
    for line in lines:
        for user, row in line["events"]:
            by_user[user].append(row)
    yield from by_user.items()


def recorded(folder: Path, name: str) -> list[Recorded]:
    """Every account and coin of a recording; spot aside, which nobody here trades."""
    found: list[Recorded] = []
    for user, rows in _accounts(folder, name):
        by_coin: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if not any(mark in row["coin"] for mark in SPOT):
                by_coin[row["coin"]].append(row | {"coin": row["coin"].replace(":", "-")})
        for _, some in sorted(by_coin.items()):
            fills = wire_orders.decode_fills(json.dumps(some).encode(), user).fills
            found.append(Recorded(user, list(fills), {f.trade_id: r for f, r in zip(fills, some, strict=True)}))
    return found


FIGURES = {  # accounts with coins, fills, trades from flat to flat (or cut at the beginning), flips
    COPY_TRADER: (45, 2114, 103, 2),
    WALLET: (1, 273, 10, 10),
    NODE: (1350, 4014, 218, 92),
}


@pytest.fixture(scope="module", params=[COPY_TRADER, WALLET, NODE], ids=["copy trader", "wallet", "node"])
def recording(request: pytest.FixtureRequest, shared_data: Path) -> tuple[str, list[Recorded]]:
    name: str = request.param
    return name, recorded(shared_data, name)


def test_no_chain_is_broken(recording: tuple[str, list[Recorded]]) -> None:
    name, accounts = recording
    totals: Counter[str] = Counter()
    for each in accounts:
        result = each.folded()
        assert result.breaks == (), f"{each.user} {result.position.symbol}"
        ordered = in_execution_order(each.fills)
        totals["fills"] += len(ordered)
        totals["trades"] += len(result.trades)
        position = each.start.size
        for fill in ordered:
            assert fill.start_position == position
            after = position + fill.signed_size
            totals["flips"] += position * after < 0
            position = after
        assert result.position.size == position
    assert (len(accounts), totals["fills"], totals["trades"], totals["flips"]) == FIGURES[name]


def test_fees_add_up_exactly(recording: tuple[str, list[Recorded]]) -> None:
    for each in recording[1]:
        result = each.folded()
        booked = sum((trip.trade.fees for trip in result.trades), result.position.fees)
        assert booked == sum((Decimal(row["fee"]) for row in each.rows.values()), Decimal(0))


def test_any_order_and_twice_come_to_the_same(recording: tuple[str, list[Recorded]], seed: int) -> None:
    chance = random.Random(seed)
    for each in recording[1]:
        stirred = [*each.fills, *chance.sample(each.fills, len(each.fills) // 2)]
        chance.shuffle(stirred)
        assert each.folded(stirred) == each.folded()


def decimals_of(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def test_every_close_earns_what_the_venue_says(recording: tuple[str, list[Recorded]]) -> None:
    """To the last of its six digits, once our average price is cut off after a tick, as the venue's is.

    Ours keeps what the cut takes: by so much, less than a tick times the size, `realised` differs from `closedPnl`.
    Only trips that began within the recording: what was paid before it is not known.
    """
    name, accounts = recording
    lots: Counter[str] = Counter()
    for each in accounts:
        for fill in each.fills:
            lots[fill.symbol] = max(lots[fill.symbol], decimals_of(each.rows[fill.trade_id]["sz"]))
    closes, equal, ours, venues = 0, 0, Decimal(0), Decimal(0)
    for each in accounts:
        position, is_known = each.start, each.start.is_flat
        realised = dict(each.folded().realised)
        for fill in in_execution_order(each.fills):
            told = Decimal(each.rows[fill.trade_id]["closedPnl"])
            step = apply_fill(position, fill, None, "manual")
            assert step.realised == realised[fill.trade_id]
            if position.size * fill.signed_size >= 0:
                assert step.realised == told == 0
            elif is_known:
                tick = Decimal(1).scaleb(lots[fill.symbol] - 6)
                closed = min(abs(position.size), fill.size)
                assert told in told_by_the_venue(position, fill.price, closed, tick), fill
                off = abs(step.realised - told)
                assert off <= tick * closed
                closes, equal = closes + 1, equal + (off <= Decimal("0.000001"))
                ours, venues = ours + step.realised, venues + told
            is_known = is_known or step.closed_trade is not None
            position = step.position
    assert (closes, equal, ours.quantize(CENT), venues.quantize(CENT)) == CLOSES[name]


CENT = Decimal("0.01")
CLOSES = {
    COPY_TRADER: (697, 176, Decimal("97.26"), Decimal("97.74")),
    WALLET: (154, 8, Decimal("2837.10"), Decimal("2837.22")),
    NODE: (99, 73, Decimal("-58.07"), Decimal("-57.49")),
}
"""Closes of known trips, how many agree to the sixth decimal, the sum of ours and of the venue's."""


def told_by_the_venue(position: Position, price: Decimal, closed: Decimal, tick: Decimal) -> list[Decimal]:
    """What the venue can say that a close earned: a float that should be a whole tick may lie just below it."""
    entries = [(position.entry_price - noise).quantize(tick, ROUND_DOWN) for noise in (Decimal(0), Decimal("1E-9"))]
    return [(price - entry) * closed * position.side.sign for entry in entries]


def test_the_venues_positions_carry_the_noise_of_floats(shared_data: Path) -> None:
    """The 18 chain breaks of the node's stream are no missing fills: one account's large position is off by 1e-10."""
    accounts = recorded(shared_data, NODE)
    steps = 0
    breaks: list[Break] = []
    for each in accounts:
        raw = [replace(fill, start_position=Decimal(each.rows[fill.trade_id]["startPosition"])) for fill in each.fills]
        result = replace(each, fills=raw).folded()
        steps += len(raw) - 1
        breaks += result.breaks
        assert all(found.after_trade_id is not None for found in result.breaks)
    assert (steps, len(breaks)) == (2664, 18)
    assert {found.symbol for found in breaks} == {"MELANIA"}
    assert max(abs(found.expected - found.found) for found in breaks) < Decimal("1E-9")


def test_who_was_liquidated_and_what_a_twap_did(shared_data: Path) -> None:
    """The counterparty of a liquidation and the makers that slices met did plain orders' work, zero hash or not."""
    causes: Counter[FillCause] = Counter()
    nameless_makers = 0
    for each in recorded(shared_data, NODE):
        for fill in each.fills:
            row = each.rows[fill.trade_id]
            causes[fill.cause] += 1
            assert (fill.cause is FillCause.TWAP) == (row["twapId"] is not None)
            if fill.cause is FillCause.LIQUIDATION:
                assert (each.user, fill.symbol) == ("0xa59f55114ccb120487c4fb5766cb89b123c13563", "WLFI")
                assert external_kind(fill).value == "liquidation"
            if fill.hash == NO_HASH and fill.cause is FillCause.ORDER:
                assert not fill.crossed
                nameless_makers += fill.cloid is None
    assert causes == {FillCause.ORDER: 3768, FillCause.TWAP: 245, FillCause.LIQUIDATION: 1}
    assert nameless_makers == 83


def test_a_fill_that_gets_lost_is_found_missing(shared_data: Path, seed: int) -> None:
    """Take one out of the middle of every account: one break, which says between which fills, and how much."""
    chance = random.Random(seed)
    seen = 0
    for each in recorded(shared_data, COPY_TRADER):
        ordered = in_execution_order(each.fills)
        if len(ordered) < 3:
            continue
        place = chance.randrange(1, len(ordered) - 1)
        before, lost, after = ordered[place - 1 : place + 2]
        if not before.time_ms < lost.time_ms < after.time_ms:
            continue  # inside a millisecond there may be another order without it
        seen += 1
        (found,) = each.folded([fill for fill in each.fills if fill is not lost]).breaks
        assert (found.after_trade_id, found.before_trade_id) == (before.trade_id, after.trade_id)
        assert found.found - found.expected == lost.signed_size
    assert seen >= 5
