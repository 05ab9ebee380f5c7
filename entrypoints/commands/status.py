"""How the running daemon stands."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Any

import click
import msgspec

from entrypoints.control.target import Target, names_a_daemon, target_of
from entrypoints.output import print_json, print_table, usd

EVERY_S = 2.0

_CLEAR_SCREEN = "\x1b[H\x1b[2J"


@click.command(name="status")
@click.option("--watch", is_flag=True, help=f"Look again every {EVERY_S:g} seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --watch, one a line.")
@names_a_daemon
def command(watch: bool, as_json: bool, db: str | None) -> None:
    """Mode, equity, positions with their stops and targets, orders, and what holds entries. Changes nothing."""
    target = target_of(db)
    _show(target, watch=watch, as_json=as_json)
    while watch:
        time.sleep(EVERY_S)
        _show(target, watch=watch, as_json=as_json)


def _show(target: Target, *, watch: bool, as_json: bool) -> None:
    status = target.status()
    if as_json and watch:
        print(msgspec.json.encode(status).decode(), flush=True)
    elif as_json:
        print_json(status)
    else:
        if watch and sys.stdout.isatty():
            sys.stdout.write(_CLEAR_SCREEN)
        _print(status)
        sys.stdout.flush()


def _print(status: dict[str, Any]) -> None:
    for name, text in _summary(status):
        print(f"{name:<10} {text}")
    print()
    print_table([_position_row(each) for each in status["positions"]], empty="no positions")
    print()
    print_table([_order_row(each) for each in status["orders"]], empty="no open orders")


def _summary(status: dict[str, Any]) -> list[tuple[str, str]]:
    latch, ages, waiting = status["latch"], status["quote_age_ms"], sum(status["waiting_events"].values())
    shut = latch["state"] if latch["since"] is None else f"{latch['state']} since {latch['since']}: {latch['why']}"
    warming = f", {status['warming_up']} without history yet" if status["warming_up"] else ""
    quotes = "none yet"
    if ages is not None:
        quotes = f"{ages['median'] / 1000:.1f} s old (median), {ages['worst'] / 1000:.1f} s (worst)"
    recorded = "recorded as" if status["recording"] else "not recorded:"
    rows = [
        ("daemon", f"{status['mode']} on {status['network']}, {status['account']}, pid {status['pid']}"),
        ("up", f"since {status['up_since']} UTC; it is {status['market_time']} in the market"),
        ("session", f"{recorded} {status['session']}"),
        ("entries", status["entries"]),
        ("latch", shut),
        ("equity", f"{_usd(status['equity_usd'])}, cash {_usd(status['cash_usd'])}"),
        ("today", f"{_usd(status['day_pnl_usd'])}, drawdown {_percent(status['drawdown_pct'])}"),
        ("symbols", f"{status['symbols']}{warming}; quotes {quotes}"),
        ("decisions", f"{status['analyses']:,} analyses, the last at {status['last_decision'] or 'none yet'}"),
        ("load", f"{waiting} events wait, {status['weight_used']} weight used in a minute"),
        ("config", "; ".join([status["config"], *status["config_problems"]])),
    ]
    for name in ("leaving", "residuals"):
        if status[name]:
            rows.append((name, ", ".join(f"{symbol} ({why})" for symbol, why in status[name].items())))
    if status["differs"]:
        rows.append(("differs", ", ".join(status["differs"])))
    return rows


def _position_row(position: dict[str, Any]) -> dict[str, str]:
    return {
        "symbol": position["symbol"],
        "size": position["size"],
        "entry": position["entry_price"],
        "mark": position["mark_price"] or "unknown",
        "unrealised": _usd(position["unrealised_usd"]),
        "stop": ", ".join(position["stops"]) or "none",
        "target": ", ".join(position["targets"]) or "none",
        "care": "ours" if position["in_our_care"] else "not ours",
    }


def _order_row(order: dict[str, Any]) -> dict[str, str]:
    return {
        "symbol": order["symbol"],
        "action": order["action"],
        "side": order["side"],
        "size": order["size"],
        "filled": order["filled"],
        "limit": order["limit_price"],
        "trigger": order["trigger_price"] or "",
        "status": order["status"],
    }


def _usd(text: str | None) -> str:
    return "unknown" if text is None else usd(Decimal(text))


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} %"
