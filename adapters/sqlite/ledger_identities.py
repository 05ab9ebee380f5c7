"""What must hold between the tables of a ledger, whatever was traded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal

import sqlalchemy as sa

from adapters.sqlite import order_rows, tables
from domain.fact_text import exact_sum
from domain.facts import BORN, FILLS_READ, EvidenceKind
from domain.fill_chain import Owned, fold
from domain.fills import FillCause, MatchedVia
from domain.intents import Action, Side, TimeInForce
from domain.orders import ZERO, OrderStatus
from domain.positions import Position, opened_with
from domain.recent_fills import LATE_MS
from domain.value_text import decimal_from_text

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

_REPORT = "keep a copy of the ledger; if no line above says why, this is a bug of ours: please report it"
_LOOK = "`./aiq explain` shows the chain of each; keep a copy of the file and report it"

_WORDS: Mapping[tuple[str, str], frozenset[str]] = {
    ("orders", "status"): frozenset(each.value for each in OrderStatus),
    ("fills", "matched_via"): frozenset(each.value for each in MatchedVia),
    ("fills", "cause"): frozenset(each.value for each in FillCause),
    ("fills", "side"): frozenset(each.value for each in Side),
    ("order_intents", "action"): frozenset(each.value for each in Action),
    ("order_intents", "side"): frozenset(each.value for each in Side),
    ("order_intents", "time_in_force"): frozenset(each.value for each in TimeInForce),
    ("order_evidence", "kind"): frozenset(each.value for each in EvidenceKind),
    ("trades", "side"): frozenset(("long", "short")),
    ("position_adjustments", "kind"): frozenset(("opening_balance",)),
    ("differences", "kind"): frozenset(("position", "cash", "leverage", "order_missing", "order_unknown")),
    ("cursors", "name"): frozenset((BORN, FILLS_READ)),
}


def broken_identities(connection: sa.Connection, now_ms: int | None) -> tuple[list[str], list[str]]:
    """Problems, and notes on what looks like one and is none. A row that cannot be read raises `ValueError`."""
    notes: list[str] = []
    problems = [
        *_unknown_words(connection),
        *_owners(connection),
        *_attempts(connection),
        *_nonces(connection),
        *_filled(connection, notes),
        *_positions(connection, notes),
        *_cursors(connection, now_ms),
    ]
    return problems, notes


def _unknown_words(connection: sa.Connection) -> Iterator[str]:
    for (table, column), words in _WORDS.items():
        for value, count in connection.exec_driver_sql(f"SELECT {column}, count(*) FROM {table} GROUP BY {column}"):
            if value not in words:
                yield f"{table}: {count} rows have the {column} {value!r}, which nobody knows: {_LOOK}"


def _owners(connection: sa.Connection) -> Iterator[str]:
    """Every fill has an intent of its symbol and side, or is external."""
    rows = connection.exec_driver_sql(
        "SELECT f.trade_id, f.intent_id, f.matched_via, f.symbol, f.side, i.symbol, i.side FROM fills AS f "
        "LEFT JOIN order_intents AS i ON i.intent_id = f.intent_id "
        "WHERE (f.intent_id IS NULL) <> (f.matched_via = 'external') "
        "OR (f.intent_id IS NOT NULL AND (i.intent_id IS NULL OR i.symbol <> f.symbol OR i.side <> f.side))"
    )
    for trade_id, intent_id, via, symbol, side, intent_symbol, intent_side in rows:
        if (intent_id is None) != (via == MatchedVia.EXTERNAL.value):
            owner = "no intent" if intent_id is None else f"intent {intent_id}"
            yield f"fills: {trade_id} has {owner} and is matched by {via!r}: {_LOOK}"
        elif intent_symbol is None:
            yield f"fills: {trade_id} names intent {intent_id}, which is not there: {_LOOK}"
        else:
            other = f"{intent_side} {intent_symbol}"
            yield f"fills: {trade_id} ({side} {symbol}) is laid to intent {intent_id}, which is a {other}: {_LOOK}"


def _attempts(connection: sa.Connection) -> Iterator[str]:
    """Attempts count up from 1, and one follows only a rejected one."""
    rows = connection.exec_driver_sql(
        "SELECT a.intent_id, a.attempt, a.cloid, o.status FROM order_attempts AS a "
        "LEFT JOIN orders AS o ON o.cloid = a.cloid ORDER BY a.intent_id, a.attempt"
    )
    before: tuple[str, int, str | None] = ("", 0, None)
    for intent_id, attempt, cloid, status in rows:
        if status is None:
            yield f"order_attempts: {cloid} has no row in orders: {_LOOK}"
        first = intent_id != before[0]
        if attempt != (1 if first else before[1] + 1):
            yield f"order_attempts: intent {intent_id} has attempt {attempt} and none before it: {_LOOK}"
        elif not first and before[2] != OrderStatus.REJECTED.value:
            text = f"attempt {attempt} follows one that is {before[2]}, not rejected"
            yield f"order_attempts: intent {intent_id}: {text}: look at both at the venue, and report it"
        before = (intent_id, attempt, status)
    for (intent_id,) in connection.exec_driver_sql(
        "SELECT intent_id FROM order_intents WHERE intent_id NOT IN (SELECT intent_id FROM order_attempts)"
    ):
        yield f"order_intents: {intent_id} has no attempt: {_LOOK}"


def _nonces(connection: sa.Connection) -> Iterator[str]:
    for nonce, count in connection.exec_driver_sql(
        "SELECT nonce, count(*) FROM order_attempts WHERE nonce IS NOT NULL GROUP BY nonce HAVING count(*) > 1"
    ):
        yield f"order_attempts: nonce {nonce} stands at {count} attempts: only one of them can have lived: {_LOOK}"
    for cloid, nonce in connection.exec_driver_sql("SELECT cloid, nonce FROM order_attempts WHERE nonce % 2 = 1"):
        yield f"order_attempts: {cloid} has nonce {nonce}; those of orders are even: {_LOOK}"


def _filled(connection: sa.Connection, notes: list[str]) -> Iterator[str]:
    """What is laid to an intent is what its orders say they filled, and no more than it asked for."""
    laid: defaultdict[str, list[Decimal]] = defaultdict(list)
    by_order: defaultdict[str, list[Decimal]] = defaultdict(list)
    unnamed: set[str] = set()
    for intent_id, cloid, size in connection.exec_driver_sql(
        "SELECT f.intent_id, a.cloid, f.size FROM fills AS f LEFT JOIN order_attempts AS a "
        "ON a.intent_id = f.intent_id AND a.cloid = f.cloid WHERE f.intent_id IS NOT NULL"
    ):
        laid[intent_id].append(decimal_from_text(size))
        if cloid is None:
            unnamed.add(intent_id)
        else:
            by_order[cloid].append(decimal_from_text(size))
    guessed = {
        intent_id
        for (intent_id,) in connection.exec_driver_sql("SELECT intent_id FROM fills WHERE matched_via = 'time'")
    }
    told: defaultdict[str, list[Decimal]] = defaultdict(list)
    for intent_id, cloid, filled in connection.exec_driver_sql(
        "SELECT a.intent_id, a.cloid, o.filled FROM order_attempts AS a JOIN orders AS o ON o.cloid = a.cloid"
    ):
        amount = decimal_from_text(filled)
        told[intent_id].append(amount)
        own = exact_sum(by_order.get(cloid, ()))
        if intent_id not in unnamed and own != amount:
            yield f"orders: {cloid} says that it filled {amount}, its fills add up to {own}: {_REPORT}"
    for intent_id, size in connection.exec_driver_sql("SELECT intent_id, size FROM order_intents"):
        total = exact_sum(laid.get(intent_id, ()))
        filled_total = exact_sum(told.get(intent_id, ()))
        if intent_id in unnamed and total != filled_total:
            yield f"orders: those of intent {intent_id} say {filled_total}, its fills add up to {total}: {_REPORT}"
        if total > decimal_from_text(size):
            text = f"order_intents: {intent_id} asked for {size}, its fills add up to {total}"
            if intent_id in guessed:
                notes.append(f"{text}; one is matched by its time alone, and may turn out to be somebody else's")
            else:
                yield f"{text}: {_REPORT}"


def _positions(connection: sa.Connection, notes: list[str]) -> Iterator[str]:
    """Sizes and realised amounts are what fills, opening balances and the jumps of gaps add up to."""
    fills = _amounts(connection, "SELECT symbol, CASE side WHEN 'buy' THEN size ELSE '-' || size END FROM fills")
    adjusted = _differences(connection, "SELECT symbol, size_before, size_after FROM position_adjustments")
    jumps = _differences(connection, "SELECT symbol, expected, found FROM gaps WHERE closed_ms IS NULL")
    sizes = _amounts(connection, "SELECT symbol, size FROM positions")
    realised = _amounts(connection, "SELECT symbol, realised FROM fills")
    traded = _amounts(connection, "SELECT symbol, pnl FROM trades")
    open_realised = _amounts(connection, "SELECT symbol, realised FROM positions")
    gaps = {symbol for (symbol,) in connection.exec_driver_sql("SELECT DISTINCT symbol FROM gaps")}
    for symbol in sorted({*fills, *sizes, *adjusted, *traded}):
        due = exact_sum((fills[symbol], adjusted[symbol], jumps[symbol]))
        if due != sizes[symbol]:
            if _came_late(connection, symbol) and _folded(connection, symbol) == sizes[symbol]:
                notes.append(f"positions: {symbol}: fills came too late to be put into their place; the size is right")
            else:
                yield f"positions: {symbol} is {sizes[symbol]}, its fills add up to {due}: {_REPORT}"
        earned = exact_sum((traded[symbol], open_realised[symbol]))
        if symbol not in gaps and earned != realised[symbol]:
            text = f"{symbol}: its fills realised {realised[symbol]}, its trades and its position {earned}"
            yield f"trades: {text}: {_REPORT}"


def _came_late(connection: sa.Connection, symbol: str) -> bool:
    """Whether a fill was booked so late that its neighbours may have been put away."""
    newest_ms = 0
    for (time_ms,) in connection.exec_driver_sql(
        "SELECT time_ms FROM fills WHERE symbol = ? ORDER BY rowid", (symbol,)
    ):
        if time_ms < newest_ms - LATE_MS:
            return True
        newest_ms = max(newest_ms, time_ms)
    return False


def _folded(connection: sa.Connection, symbol: str) -> Decimal:
    """What all fills of a symbol come to in the order in which they happened."""
    table, adjusted = tables.fills, tables.position_adjustments
    owned = [
        Owned(order_rows.fill_of(row), row["intent_id"], row["reason"])
        for row in connection.execute(sa.select(table).where(table.c.symbol == symbol)).mappings()
    ]
    start = Position(symbol)
    for row in connection.execute(sa.select(adjusted).where(adjusted.c.symbol == symbol)).mappings():
        start = opened_with(symbol, decimal_from_text(row["size_after"]), decimal_from_text(row["price"]), row["at_ms"])
    return fold(start, owned).position.size


def _cursors(connection: sa.Connection, now_ms: int | None) -> Iterator[str]:
    until: dict[str, int] = {str(name): int(ms) for name, ms in connection.exec_driver_sql("SELECT * FROM cursors")}
    for name, at_ms in until.items():
        if at_ms <= 0:
            yield f"cursors: {name} stands at {at_ms}, which is no time: {_LOOK}"
        elif now_ms is not None and at_ms > now_ms + DAY_MS:
            text = f"{name} is more than a day ahead of now: what comes until then would not be read"
            yield f"cursors: {text}: {_LOOK}"
    born, read = until.get(BORN, 0), until.get(FILLS_READ)
    if read is not None and read < born - HOUR_MS:
        yield f"cursors: {FILLS_READ} stands before the ledger's first moment ({read} < {born}): {_LOOK}"


def _amounts(connection: sa.Connection, query: str) -> defaultdict[str, Decimal]:
    found: defaultdict[str, list[Decimal]] = defaultdict(list)
    for symbol, amount in connection.exec_driver_sql(query):
        found[symbol].append(decimal_from_text(amount))
    return defaultdict(lambda: ZERO, {symbol: exact_sum(amounts) for symbol, amounts in found.items()})


def _differences(connection: sa.Connection, query: str) -> defaultdict[str, Decimal]:
    found: defaultdict[str, list[Decimal]] = defaultdict(list)
    for symbol, before, after in connection.exec_driver_sql(query):
        found[symbol].append(exact_sum((decimal_from_text(after), -decimal_from_text(before))))
    return defaultdict(lambda: ZERO, {symbol: exact_sum(amounts) for symbol, amounts in found.items()})
