"""From one fill, order, intent or trade back to the decision behind it: every row of the ledger that has to do with it.

Rows come as they are stored, with amounts as decimals and JSON texts as what they hold: made for people and scripts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import tables
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.reading import reading
from domain.value_text import decimal_from_text

Row = dict[str, Any]

LEAST_PREFIX = 6
"""Hex digits from which on a beginning of a cloid or an intent's id may stand for it."""

MOST_CANDIDATES = 20
NEAR_MS = 600_000
"""Gaps and differences so close to a fill are shown with it."""

_HEX = re.compile(r"(0x)?([0-9a-f]+)", re.IGNORECASE)
_KINDS = ("fill", "order", "intent", "trade")
_AMOUNTS = frozenset(
    (
        *("size", "price", "limit_price", "trigger_price", "leverage", "fee", "start_position", "realised", "filled"),
        *("entry_price", "exit_price", "pnl", "fees", "funding", "expected", "found"),
    )
)
_JSON = frozenset(("why", "meta_json", "problems", "action_json"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that an id may mean. `kind:key` names it beyond doubt."""

    kind: str
    key: str
    text: str


@dataclass(slots=True)
class Chain:
    """What led to a fill, an order or an intent. `attempts` carry their `evidence`; `config` is what was in force."""

    kind: str
    key: str
    fills: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    intent: Row | None = None
    config: Row | None = None
    trades: list[Row] = field(default_factory=list)
    gaps: list[Row] = field(default_factory=list)
    differences: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class TradeChain:
    """A round trip and both its ends. `opened` is None for a trade that is not ours, `closed` where a gap ended it."""

    key: str
    trade: Row
    opened: Chain | None
    closed: Chain | None


def explain(path: Path, text: str) -> Chain | TradeChain | list[Candidate]:
    """What the id `text` means, with all that led to it. A list where it means several things, or nothing."""
    with reading(path, LEDGER) as connection:
        found = _candidates(connection, text.strip())
        if len(found) != 1:
            return found
        return _chain_of(connection, found[0])


# ── what is meant ────────────────────────────────────────────────────────────────────────────────


def _candidates(connection: sa.Connection, text: str) -> list[Candidate]:
    kind, _, key = text.partition(":")
    if kind in _KINDS and key:
        named = [each for each in _all_candidates(connection, key) if each.kind == kind]
        exact = [each for each in named if each.key == key]
        return exact or named
    found = _all_candidates(connection, text)
    fills = [each for each in found if each.kind == "fill" and each.key == text]
    return fills or found  # the fill that ended a trade also names the trade; its chain shows it


def _all_candidates(connection: sa.Connection, text: str) -> list[Candidate]:
    found = [*_fills_named(connection, text), *_trades_named(connection, text)]
    found += _orders_named(connection, text)
    found += _intents_named(connection, text)
    return list({(each.kind, each.key): each for each in found}.values())


def _fills_named(connection: sa.Connection, text: str) -> list[Candidate]:
    fills, orders = tables.fills, tables.orders
    is_it: list[sa.ColumnElement[bool]] = [fills.c.trade_id == text, (fills.c.hash == text) & (fills.c.hash != "")]
    if _is_number(text):
        of_no_order = ~sa.exists().where(orders.c.oid == fills.c.oid)
        is_it += [fills.c.tid == int(text), (fills.c.oid == int(text)) & of_no_order]
    prefix = _hex_prefix(text)
    if prefix is not None and len(prefix) == 32:
        is_it.append((fills.c.cloid == f"0x{prefix}") & fills.c.intent_id.is_(None))
    rows = connection.execute(
        sa.select(fills).where(sa.or_(*is_it)).order_by(fills.c.time_ms, fills.c.trade_id).limit(MOST_CANDIDATES)
    ).mappings()
    return [
        Candidate("fill", row["trade_id"], f"{row['side']} {row['size']} {row['symbol']} at {row['price']}")
        for row in rows
    ]


def _trades_named(connection: sa.Connection, text: str) -> list[Candidate]:
    trades = tables.trades
    is_it: list[sa.ColumnElement[bool]] = [(trades.c.closing_trade_id == text) & (trades.c.closing_trade_id != "")]
    if _is_number(text):
        is_it.append(trades.c.id == int(text))
    rows = connection.execute(sa.select(trades).where(sa.or_(*is_it)).limit(MOST_CANDIDATES)).mappings()
    return [
        Candidate("trade", str(row["id"]), f"{row['side']} {row['size']} {row['symbol']}, pnl {row['pnl']}")
        for row in rows
    ]


def _orders_named(connection: sa.Connection, text: str) -> list[Candidate]:
    attempts, orders = tables.order_attempts, tables.orders
    is_it: list[sa.ColumnElement[bool]] = []
    if _is_number(text):
        is_it.append(orders.c.oid == int(text))
    prefix = _hex_prefix(text)
    if prefix is not None:
        is_it.append(_begins(attempts.c.cloid, f"0x{prefix}"))
    if not is_it:
        return []
    rows = connection.execute(
        sa.select(attempts, orders.c.status, orders.c.oid)
        .join(orders, orders.c.cloid == attempts.c.cloid)
        .where(sa.or_(*is_it))
        .order_by(attempts.c.sent_ms.desc(), attempts.c.cloid)
        .limit(MOST_CANDIDATES)
    ).mappings()
    return [
        Candidate(
            "order", row["cloid"], f"{row['side']} {row['size']} {row['symbol']}, {row['status']}, oid {row['oid']}"
        )
        for row in rows
    ]


def _intents_named(connection: sa.Connection, text: str) -> list[Candidate]:
    intents = tables.order_intents
    prefix = _hex_prefix(text)
    if prefix is None or text.lower().startswith("0x"):
        return []
    rows = connection.execute(
        sa.select(intents)
        .where(_begins(intents.c.intent_id, prefix))
        .order_by(intents.c.decided_ms.desc(), intents.c.intent_id)
        .limit(MOST_CANDIDATES)
    ).mappings()
    return [
        Candidate("intent", row["intent_id"], f"{row['action']} {row['side']} {row['size']} {row['symbol']}")
        for row in rows
    ]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _hex_prefix(text: str) -> str | None:
    match = _HEX.fullmatch(text)
    return match[2].lower() if match is not None and len(match[2]) >= LEAST_PREFIX else None


def _begins(column: sa.Column[str], prefix: str) -> sa.ColumnElement[bool]:
    """As a span of the index: LIKE would read every row."""
    return (column >= prefix) & (column < prefix + "g")


# ── what led to it ───────────────────────────────────────────────────────────────────────────────


def _chain_of(connection: sa.Connection, meant: Candidate) -> Chain | TradeChain:
    match meant.kind:
        case "fill":
            return _fill_chain(connection, meant.key)
        case "order":
            return _order_chain(connection, meant.key)
        case "intent":
            return _intent_chain(connection, meant.key)
        case _:
            return _trade_chain(connection, int(meant.key))


def _fill_chain(connection: sa.Connection, trade_id: str) -> Chain:
    fill = _one(connection, tables.fills, tables.fills.c.trade_id == trade_id)
    assert fill is not None, "it was found a moment ago"
    chain = Chain("fill", trade_id, [fill])
    if fill["intent_id"] is not None:
        attempts = _attempts(connection, fill["intent_id"])
        own = [each for each in attempts if each["cloid"] == fill["cloid"] or each["oid"] == fill["oid"]]
        chain.attempts = own or attempts
        _add_decision(connection, chain, fill["intent_id"])
    trades = tables.trades
    chain.trades = _many(connection, trades, trades.c.closing_trade_id == trade_id, trades.c.id)
    _add_troubles(connection, chain)
    return chain


def _order_chain(connection: sa.Connection, cloid: str) -> Chain:
    attempts, fills = tables.order_attempts, tables.fills
    intent_id = connection.execute(sa.select(attempts.c.intent_id).where(attempts.c.cloid == cloid)).scalar_one()
    chain = Chain("order", cloid)
    chain.attempts = [each for each in _attempts(connection, intent_id) if each["cloid"] == cloid]
    oid = chain.attempts[0]["oid"]
    laid = _many(connection, fills, fills.c.intent_id == intent_id, fills.c.time_ms)
    chain.fills = [each for each in laid if each["cloid"] == cloid or (oid is not None and each["oid"] == oid)]
    _add_decision(connection, chain, intent_id)
    _add_troubles(connection, chain)
    return chain


def _intent_chain(connection: sa.Connection, intent_id: str) -> Chain:
    fills, trades = tables.fills, tables.trades
    chain = Chain("intent", intent_id)
    chain.attempts = _attempts(connection, intent_id)
    chain.fills = _many(connection, fills, fills.c.intent_id == intent_id, fills.c.time_ms)
    chain.trades = _many(connection, trades, trades.c.intent_id == intent_id, trades.c.id)
    _add_decision(connection, chain, intent_id)
    _add_troubles(connection, chain)
    return chain


def _trade_chain(connection: sa.Connection, trade_no: int) -> TradeChain:
    trade = _one(connection, tables.trades, tables.trades.c.id == trade_no)
    assert trade is not None, "it was found a moment ago"
    opened = None if trade["intent_id"] is None else _intent_chain(connection, trade["intent_id"])
    closing = _one(connection, tables.fills, tables.fills.c.trade_id == trade["closing_trade_id"])
    closed = None if closing is None else _fill_chain(connection, closing["trade_id"])
    return TradeChain(str(trade_no), trade, opened, closed)


def _attempts(connection: sa.Connection, intent_id: str) -> list[Row]:
    attempts, orders, evidence = tables.order_attempts, tables.orders, tables.order_evidence
    told = [orders.c[name] for name in ("status", "oid", "filled", "reason", "updated_ms")]
    rows = connection.execute(
        sa.select(attempts, *told)
        .outerjoin(orders, orders.c.cloid == attempts.c.cloid)
        .where(attempts.c.intent_id == intent_id)
        .order_by(attempts.c.attempt)
    ).mappings()
    found = [_read(row) for row in rows]
    for each in found:
        each["evidence"] = _many(connection, evidence, evidence.c.cloid == each["cloid"], evidence.c.id)
    return found


def _add_decision(connection: sa.Connection, chain: Chain, intent_id: str) -> None:
    configs = tables.config_versions
    chain.intent = _one(connection, tables.order_intents, tables.order_intents.c.intent_id == intent_id)
    if chain.intent is None:
        return
    taken = connection.execute(
        sa.select(configs)
        .where(configs.c.digest == chain.intent["config_digest"], configs.c.problems == "[]")
        .order_by((configs.c.at_ms <= chain.intent["decided_ms"]).desc(), configs.c.id.desc())
        .limit(1)
    ).mappings()
    chain.config = next((_read(row) for row in taken), None)


def _add_troubles(connection: sa.Connection, chain: Chain) -> None:
    """What was missing or did not agree around the fills, or around the sending where there are none."""
    gaps, differences = tables.gaps, tables.differences
    times = [fill["time_ms"] for fill in chain.fills] or [each["sent_ms"] for each in chain.attempts]
    symbols = {each["symbol"] for each in (*chain.fills, *chain.attempts)}
    names = [fill["trade_id"] for fill in chain.fills]
    if not times or len(symbols) != 1:
        return
    symbol, first_ms, last_ms = symbols.pop(), min(times) - NEAR_MS, max(times) + NEAR_MS
    beside = gaps.c.before_trade_id.in_(names) | gaps.c.after_trade_id.in_(names)
    chain.gaps = _many(
        connection,
        gaps,
        (gaps.c.symbol == symbol) & (beside | gaps.c.time_ms.between(first_ms, last_ms)),
        gaps.c.id,
    )
    during = (differences.c.opened_ms <= last_ms) & (
        differences.c.closed_ms.is_(None) | (differences.c.closed_ms >= first_ms)
    )
    about = (differences.c.symbol == symbol) | differences.c.symbol.startswith(f"{symbol} ", autoescape=True)
    chain.differences = _many(connection, differences, about & during, differences.c.id)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def _one(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Row | None:
    row = connection.execute(sa.select(table).where(where)).mappings().first()
    return None if row is None else _read(row)


def _many(
    connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool], order: sa.Column[int]
) -> list[Row]:
    return [_read(row) for row in connection.execute(sa.select(table).where(where).order_by(order)).mappings()]


def _read(row: Mapping[Any, Any] | Iterable[Any]) -> Row:
    return {str(name): _value(str(name), value) for name, value in dict(row).items()}


def _value(name: str, value: Any) -> Any:
    if value is None or value == "":
        return value
    if name in _AMOUNTS:
        amount: Decimal = decimal_from_text(value)
        return amount
    return json.loads(value) if name in _JSON else value
