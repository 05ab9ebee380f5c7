"""`profit`, `daily` and `performance` are views of one ledger: whatever was traded, they agree to the last digit."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing, redirect_stdout
from decimal import Decimal, localcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import FillArrived, FundingPaid
from domain.facts import LedgerFact
from domain.fills import Fill
from domain.intents import Action, Side
from entrypoints.cli import run
from tests.sound_ledger import Desk
from tests.sqlite_files import opened

DAY_MS = 86_400_000
SYMBOLS = ("BTC", "ETH", "kPEPE")
BYS = ("symbol", "reason", "side", "hour", "strategy")
MONEY = ("realised", "fees", "funding", "net")
Sums = tuple[Decimal, ...]


class Deed(NamedTuple):
    """A fill or a payment, so many minutes after the one before; ours, or by hand."""

    symbol: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    minutes: int
    is_ours: bool
    funding: Decimal | None
    is_told: bool


def digits(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=places, allow_nan=False, allow_infinity=False)


DEEDS = st.builds(
    Deed,
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    size=st.integers(1, 4).map(Decimal) | digits("0.0001", "9", 4),
    price=digits("0.000001", "3", 6) | digits("90", "110", 2) | digits("50000", "99999", 1),
    fee=digits("-0.5", "9", 8),
    minutes=st.integers(1, 30) | st.integers(700, 4_000),
    is_ours=st.booleans(),
    funding=st.none() | st.none() | digits("-20", "20", 9),
    is_told=st.sampled_from((True, True, True, True, False)),
)


def facts_of(deeds: Sequence[Deed]) -> list[LedgerFact]:
    """What the daemon's own desks write about it. A fill that is not told leaves a gap behind."""
    desk = Desk()
    held = dict.fromkeys(SYMBOLS, Decimal(0))
    for number, deed in enumerate(deeds, 1):
        desk.at_ms += deed.minutes * 60_000
        if deed.funding is not None:
            step = desk.step()
            paid = FundingPaid(deed.symbol, desk.at_ms, held[deed.symbol], Decimal("0.0001"), deed.funding)
            desk.oms.on_funding(step, paid)
            desk.keep(step)
            continue
        intent = desk.place(deed.symbol, deed.side, str(deed.size), Action.OPEN) if deed.is_ours else None
        fill = Fill(
            symbol=deed.symbol,
            side=deed.side,
            price=deed.price,
            size=deed.size,
            time_ms=desk.at_ms,
            tid=number,
            oid=10_000 + number,
            cloid=None if intent is None else desk.cloid_of(intent),
            fee=deed.fee,
            start_position=held[deed.symbol],
        )
        held[deed.symbol] += fill.signed_size
        if deed.is_told:
            step = desk.step()
            desk.oms.on_fill(step, FillArrived(fill))
            desk.keep(step)
    return desk.facts


def asked(path: Path, *arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    with redirect_stdout(out):
        assert run([*arguments, "--db", str(path), "--json"]) == 0
    answer: dict[str, Any] = json.loads(out.getvalue(), parse_float=Decimal, parse_int=Decimal)
    return answer


def money(member: dict[str, Any]) -> Sums:
    return tuple(member[name] for name in MONEY)


def added(*parts: Sums) -> Sums:
    with localcontext(prec=1_000):
        return tuple(sum(column, Decimal(0)) for column in zip((Decimal(0),) * len(MONEY), *parts, strict=True))


def in_tables(path: Path, fills: str, funding: str) -> Sums:
    """(realised, fees, funding, net) straight from the rows, by nobody's code of ours."""
    with closing(sqlite3.connect(path)) as connection, localcontext(prec=1_000):
        rows = [(Decimal(earned), Decimal(fee)) for earned, fee in connection.execute(fills)]
        payments = sum((Decimal(amount) for (amount,) in connection.execute(funding)), Decimal(0))
        realised, fees = (sum((row[place] for row in rows), Decimal(0)) for place in (0, 1))
        return realised, fees, payments, realised - fees + payments


@settings(max_examples=30)
@given(st.lists(DEEDS, min_size=1, max_size=40))
def test_profit_daily_and_performance_agree_to_the_last_digit(deeds: list[Deed]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with opened(path) as ledger:
            ledger.commit(facts_of(deeds))
        profit, daily = asked(path, "profit"), asked(path, "daily", "--days", "3")
        booked = money(profit["booked"])
        assert booked == in_tables(path, "SELECT realised, fee FROM fills", "SELECT amount_usd FROM funding")
        closed = money(profit["closed_trades"])
        assert closed == in_tables(path, "SELECT pnl, fees FROM trades", "SELECT funding FROM trades")
        assert added(closed, money(profit["in_no_closed_trade"])) == booked

        days = daily["days"]
        assert added(money(daily["earlier"]), *map(money, days)) == money(daily["total"]) == booked
        assert sum(day["trades"] for day in days) + daily["earlier"]["trades"] == profit["closed_trades"]["trades"]
        if days:
            assert days[-1]["cumulative"] == profit["booked"]["net"]
            recent = asked(path, "profit", "--since", days[0]["day"])
            assert money(recent["booked"]) == added(*map(money, days))
            assert recent["closed_trades"]["wins"] == sum(day["wins"] for day in days)

        for by in BYS:
            performance = asked(path, "performance", "--by", by)
            assert added(*map(money, performance["rows"])) == closed == money(performance["closed_trades"])
            assert money(performance["booked"]) == booked
            assert sum(row["wins"] for row in performance["rows"]) == profit["closed_trades"]["wins"]
            nets = [row["net"] for row in performance["rows"]]
            assert nets == sorted(nets, reverse=True)
        parts = [asked(path, "profit", "--symbol", symbol) for symbol in SYMBOLS]
        assert added(*(money(part["booked"]) for part in parts)) == booked
        assert added(*(money(part["closed_trades"]) for part in parts)) == closed
