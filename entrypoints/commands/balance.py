"""Where the account stands by the ledger: cash, equity, margin, what limits count from, and what is shut."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import click

from adapters.sqlite.performance_queries import Standing, standing
from domain.fact_text import exact_sum
from domain.margin import initial_margin
from domain.performance import DAY_MS, sum_of
from domain.risk import Latch, drawdown_pct
from entrypoints.books.marks import Files, Marks, marks_for, named_files
from entrypoints.books.options import asks_for_values
from entrypoints.books.shown import (
    UNKNOWN,
    Figure,
    headline,
    owner_json,
    print_figures,
    unrealised_figure,
    usd_or_unknown,
)
from entrypoints.output import print_json, print_table, say, usd, utc

SHOWN_FLOWS = 10


@dataclass(frozen=True, slots=True)
class _Balance:
    """None stands for what is not known. `day_pnl` also where this day's start was not recorded."""

    cash: Decimal | None
    unrealised: Decimal | None
    margin: Decimal | None
    equity: Decimal | None
    drawdown_pct: float | None
    day_pnl: Decimal | None
    flows: Decimal


@click.command(name="balance")
@asks_for_values
def command(db: str | None, market: str | None, as_json: bool) -> None:
    """Cash, equity, margin in use, drawdown, today's PnL (UTC), flows of cash, and what is shut or paused.

    From the ledger alone: nobody asks the venue. Cash is the venue's last word and what was booked since.
    """
    files = named_files(db, market)
    found = standing(files.ledger)
    marks = marks_for(files, found.owner, found.positions)
    balance = _balance_of(found, marks)
    if as_json:
        print_json(_as_json(files, found, marks, balance))
        return
    print(headline(files.ledger, found.owner, found.owner.newest_ms))
    if found.cash_usd is None:
        print("the venue has not named the account's cash yet: a daemon asks for it when it starts")
    print_figures([*_money(found, marks, balance), *_limits(found, marks, balance)])
    if found.flows:
        print(f"flows of cash, the newest {min(SHOWN_FLOWS, len(found.flows))} of {len(found.flows)}:")
        print_table(
            [
                {"time": utc(flow.time_ms), "kind": flow.kind, "amount": usd(flow.amount_usd)}
                for flow in found.flows[-SHOWN_FLOWS:]
            ],
            empty="",
        )
    if marks.note:
        say(f"note: {marks.note}")


def _balance_of(found: Standing, marks: Marks) -> _Balance:
    risk = found.risk
    cash, unrealised = _cash(found), marks.unrealised_in_all(found.positions)
    equity = None if cash is None or unrealised is None else exact_sum((cash, unrealised))
    begun = risk.day_start_equity_usd if risk.day == marks.now_ms // DAY_MS else None
    return _Balance(
        cash=cash,
        unrealised=unrealised,
        margin=_margin(found, marks),
        equity=equity,
        drawdown_pct=None if equity is None or risk.peak_equity_usd is None else drawdown_pct(risk, equity),
        day_pnl=None if equity is None or begun is None else exact_sum((equity, begun.copy_negate())),
        flows=exact_sum(flow.amount_usd for flow in found.flows),
    )


def _cash(found: Standing) -> Decimal | None:
    """The venue's word holds all that happened until it was given."""
    if found.cash_usd is None:
        return None
    later = (flow.amount_usd for flow in found.flows if flow.time_ms > found.cash_ms)
    return exact_sum((found.cash_usd, sum_of(found.bookings).net, *later))


def _margin(found: Standing, marks: Marks) -> Decimal | None:
    parts = []
    for position in found.positions:
        price, leverage = marks.price(position.symbol), found.leverages.get(position.symbol)
        if price is None or leverage is None:
            return None
        parts.append(initial_margin(position.notional(price), leverage))
    return exact_sum(parts)


def _as_json(files: Files, found: Standing, marks: Marks, balance: _Balance) -> dict[str, object]:
    risk = found.risk
    return {
        **owner_json(files.ledger, found.owner),
        "cash": balance.cash,
        "cash_named": found.cash_usd,
        "cash_named_ms": found.cash_ms or None,
        "unrealised": balance.unrealised,
        "equity": balance.equity,
        "margin": balance.margin,
        "peak_equity": risk.peak_equity_usd,
        "drawdown_pct": None if balance.drawdown_pct is None else round(balance.drawdown_pct, 4),
        "day_start_equity": risk.day_start_equity_usd,
        "day_start_ms": risk.day * DAY_MS if risk.day_start_equity_usd is not None else None,
        "day_pnl": balance.day_pnl,
        "flows_net": balance.flows,
        "flows": [
            {"id": flow.flow_id, "kind": flow.kind, "time_ms": flow.time_ms, "amount": flow.amount_usd}
            for flow in found.flows
        ],
        "latch": risk.latch.value,
        "latch_why": risk.latch_why,
        "latched_ms": risk.latched_ms or None,
        "paused": risk.paused,
        "tripped": risk.tripped,
        "leaving": [{"symbol": symbol, "why": why} for symbol, why in risk.leaving],
        "residuals": [{"symbol": symbol, "why": why} for symbol, why in risk.residuals],
        "marks_note": marks.note,
    }


def _money(found: Standing, marks: Marks, balance: _Balance) -> list[Figure]:
    named = "" if found.cash_usd is None else f"the venue said {usd(found.cash_usd)} at {utc(found.cash_ms)}"
    unset = [position.symbol for position in found.positions if position.symbol not in found.leverages]
    return [
        ("cash", usd_or_unknown(balance.cash), f"{named}; the rest was booked since" if named else ""),
        unrealised_figure(found.positions, marks),
        ("equity", usd_or_unknown(balance.equity), ""),
        (
            "margin in use",
            usd_or_unknown(balance.margin),
            f"no leverage is on record for {', '.join(unset)}" if unset else "at the leverage that was entered with",
        ),
    ]


def _limits(found: Standing, marks: Marks, balance: _Balance) -> list[Figure]:
    risk = found.risk
    fall = UNKNOWN if balance.drawdown_pct is None else f"{balance.drawdown_pct:.2f} %"
    day = "no day's start is on record yet"
    if risk.day_start_equity_usd is not None:
        began = f"{usd(risk.day_start_equity_usd)} on {utc(risk.day * DAY_MS)[:10]}"
        today = risk.day == marks.now_ms // DAY_MS
        day = f"the day began with {began}" if today else f"today's start is not on record; the last began with {began}"
    shut = risk.latch is not Latch.OPEN
    return [
        ("peak equity", usd_or_unknown(risk.peak_equity_usd), ""),
        ("drawdown", fall, "below the peak"),
        ("today's PnL", usd_or_unknown(balance.day_pnl), day),
        ("flows of cash", usd(balance.flows), f"{len(found.flows)} in all: deposits, withdrawals, transfers"),
        ("kill latch", risk.latch.value, f"since {utc(risk.latched_ms)}: {risk.latch_why}" if shut else ""),
        ("entries paused", "yes" if risk.paused else "no", risk.paused),
        ("limit reached", risk.tripped or "none", "entries are closed until the day ends" if risk.tripped else ""),
        *(("being closed", symbol, why) for symbol, why in risk.leaving),
        *(("could not close", symbol, why) for symbol, why in risk.residuals),
    ]
