"""Open positions: whose they are, what they are worth, and what protects them."""

from __future__ import annotations

from decimal import Decimal

import click

from adapters.sqlite.performance_queries import HeldPosition, RestingTrigger, held_positions
from domain.intents import TriggerKind
from domain.orders import OrderStatus
from entrypoints.books.marks import Marks, marks_for, named_files
from entrypoints.books.options import asks_for_values, only_symbol
from entrypoints.books.shown import lasted, owner_json, position_json, position_row
from entrypoints.output import plain, print_json, print_table, say, usd


@click.command(name="show-positions")
@asks_for_values
@only_symbol
def command(db: str | None, market: str | None, symbol: str | None, as_json: bool) -> None:
    """Open positions, by symbol, with the decision behind each and the stop and target that rest at the venue."""
    files = named_files(db, market)
    owner, found = held_positions(files.ledger, symbol)
    positions = [each.position for each in found]
    marks = marks_for(files, owner, positions)
    if as_json:
        rows = [_as_json(each, marks) for each in found]
        print_json({**owner_json(files.ledger, owner), "positions": rows, "marks_note": marks.note})
        return
    empty = f"no position{f' in {symbol}' if symbol else ''} is open ({files.ledger})"
    print_table([_as_row(each, marks) for each in found], empty=empty)
    for each in found:
        for lapse in each.lapses:
            span = lasted(lapse.until_ms - lapse.since_ms)
            say(f"note: {each.position.symbol} was without a stop at the venue for {span}: {lapse.why}")
    if found:
        value = marks.unrealised_in_all(positions)
        print(f"{len(found)} open, unrealised {'unknown' if value is None else f'{usd(value)} USD'}; times in UTC")
    if marks.note:
        say(f"note: {marks.note}")


def _as_json(each: HeldPosition, marks: Marks) -> dict[str, object]:
    return {
        **position_json(each.position, marks),
        "reason": each.reason,
        "strategy": each.strategy,
        "leverage": each.leverage,
        "adopted": each.adopted,
        "resting": [
            {
                "cloid": order.cloid,
                "kind": order.kind,
                "trigger_price": order.trigger_price,
                "left": order.left,
                "reduce_only": order.reduce_only,
                "status": order.status,
            }
            for order in each.resting
        ],
        "lapses": [{"since_ms": lapse.since_ms, "until_ms": lapse.until_ms, "why": lapse.why} for lapse in each.lapses],
    }


def _as_row(each: HeldPosition, marks: Marks) -> dict[str, str]:
    size = abs(each.position.size)
    return {
        **position_row(each.position, marks),
        "decided by": _whose(each),
        "stop": _resting(each, TriggerKind.STOP_LOSS, size),
        "target": _resting(each, TriggerKind.TAKE_PROFIT, size),
        "lapses": str(len(each.lapses)),
    }


def _whose(each: HeldPosition) -> str:
    if each.position.intent_id is not None:
        return f"{each.position.intent_id[:12]} {each.reason}"
    return "nobody here; adopted" if each.adopted else "nobody here; left alone"


def _resting(each: HeldPosition, kind: TriggerKind, size: Decimal) -> str:
    orders = [order for order in each.resting if order.kind == kind.value]
    return ", ".join(_told(order, size) for order in orders) or "none"


def _told(order: RestingTrigger, size: Decimal) -> str:
    """The price, with what a glance must not miss: another size than the position's, or that it may not rest yet."""
    text = plain(order.trigger_price)
    if order.left != size:
        text += f" for {plain(order.left)}"
    return text if order.status == OrderStatus.OPEN.value else f"{text} ({order.status})"
