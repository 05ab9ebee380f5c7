"""What an engine starts from: the ledger's tables as a `LedgerState`.

A row that cannot be read raises `ValueError`. Everything comes in an order of its own values,
never in the order of writing, so that equal ledgers give equal states.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import order_rows, position_rows, tables
from domain.candles import Interval
from domain.fact_text import exact_sum
from domain.facts import BookedBefore, LedgerState, PositionAdjusted
from domain.fills import MatchedVia
from domain.gating import SIGNAL_FLIP, LastClose
from domain.intents import OrderIntent
from domain.orders import ENDED_ORDERS_KEPT, Order
from domain.recent_fills import LATE_MS, recent_starts
from domain.risk import HOUR_MS, RiskState
from domain.value_text import decimal_from_text

_NAMES_AT_ONCE = 500
"""Fewer than any SQLite takes in one statement."""


def restore(connection: sa.Connection) -> LedgerState:
    differences = tables.differences
    return LedgerState(
        instance_tag=bytes(connection.execute(sa.select(tables.meta.c.instance_tag)).scalar_one()),
        intent_ids=frozenset(connection.execute(sa.select(tables.order_intents.c.intent_id)).scalars()),
        trade_ids=frozenset(connection.execute(sa.select(tables.fills.c.trade_id)).scalars()),
        live_orders=_live_orders(connection),
        positions=tuple(
            position_rows.position_of(row)
            for row in connection.execute(
                sa.select(tables.positions).where(tables.positions.c.size != "0").order_by(tables.positions.c.symbol)
            ).mappings()
        ),
        opening_intents=_opening_intents(connection),
        exit_states=tuple(
            position_rows.exit_state_of(row)
            for row in connection.execute(sa.select(tables.exit_states).order_by("symbol")).mappings()
        ),
        last_closes=_last_closes(connection),
        last_entry_ms=_last_entries(connection),
        risk=_risk(connection),
        anchors=tuple(
            (symbol, Interval(interval), open_ms)
            for symbol, interval, open_ms in connection.execute(
                sa.select(tables.anchors).order_by(tables.anchors.c.symbol, tables.anchors.c.interval)
            )
        ),
        cash_usd=_cash(connection),
        realised_usd=_total(connection, tables.fills.c.realised),
        fees_usd=_total(connection, tables.fills.c.fee),
        funding_usd=_total(connection, tables.funding.c.amount_usd),
        funding_keys=frozenset(
            (symbol, time_ms)
            for symbol, time_ms in connection.execute(sa.select(tables.funding.c.symbol, tables.funding.c.time_ms))
        ),
        last_nonce=connection.execute(sa.select(sa.func.max(tables.order_attempts.c.nonce))).scalar() or 0,
        ended_orders=_ended_orders(connection),
        **_recent(connection),
        cursors=tuple((name, until) for name, until in connection.execute(sa.select(tables.cursors).order_by("name"))),
        open_differences=tuple(
            (key, kind, symbol, opened_ms)
            for key, kind, symbol, opened_ms in connection.execute(
                sa.select(differences.c.key, differences.c.kind, differences.c.symbol, differences.c.opened_ms)
                .where(differences.c.closed_ms.is_(None))
                .order_by(differences.c.key)
            )
        ),
        recent_entries=_recent_entries(connection),
        flow_ids=frozenset(connection.execute(sa.select(tables.cash_flows.c.flow_id)).scalars()),
        newest_fill_ms=connection.execute(sa.select(sa.func.max(tables.fills.c.time_ms))).scalar() or 0,
    )


def _live_orders(connection: sa.Connection) -> tuple[tuple[OrderIntent, Order], ...]:
    return _orders_of(connection, sa.select(tables.orders.c.cloid).where(tables.MAY_LIVE))


def _ended_orders(connection: sa.Connection) -> tuple[tuple[OrderIntent, Order], ...]:
    """Each symbol's newest orders that are over: a fill of one may still be told."""
    attempts, orders = tables.order_attempts, tables.orders
    age = sa.func.row_number().over(
        partition_by=attempts.c.symbol, order_by=(attempts.c.sent_ms.desc(), attempts.c.cloid.desc())
    )
    ended = (
        sa.select(attempts.c.cloid, age.label("age"))
        .join(orders, orders.c.cloid == attempts.c.cloid)
        .where(tables.ENDED)
        .subquery()
    )
    return _orders_of(connection, sa.select(ended.c.cloid).where(ended.c.age <= ENDED_ORDERS_KEPT))


def _orders_of(connection: sa.Connection, cloids: sa.Select[tuple[str]]) -> tuple[tuple[OrderIntent, Order], ...]:
    """Orders with their intents, oldest first."""
    attempts, intents, orders = tables.order_attempts, tables.order_intents, tables.orders
    orders_by_cloid = {
        row["cloid"]: row for row in connection.execute(sa.select(orders).where(orders.c.cloid.in_(cloids))).mappings()
    }
    wanted = sa.select(attempts).where(attempts.c.cloid.in_(cloids)).order_by(attempts.c.sent_ms, attempts.c.cloid)
    rows = connection.execute(wanted).mappings().all()
    named = sa.select(attempts.c.intent_id).where(attempts.c.cloid.in_(cloids))
    intents_by_id = {
        row["intent_id"]: order_rows.intent_of(row)
        for row in connection.execute(sa.select(intents).where(intents.c.intent_id.in_(named))).mappings()
    }
    return tuple(
        (intent, order_rows.order_of(attempt, orders_by_cloid[attempt["cloid"]], intent.deadline_ms))
        for attempt in rows
        for intent in (intents_by_id[attempt["intent_id"]],)
    )


def _recent(connection: sa.Connection) -> dict[str, Any]:
    """Fills that a late one has to find its place among, and what else is needed for that."""
    fills, intents = tables.fills, tables.order_intents
    since = _recent_since(connection)
    booked: list[BookedBefore] = []
    for symbol, since_ms in sorted(since.items()):
        rows = connection.execute(
            sa.select(fills)
            .where(fills.c.symbol == symbol, fills.c.time_ms >= since_ms)
            .order_by(fills.c.time_ms, fills.c.trade_id)
        )
        booked += (
            BookedBefore(order_rows.fill_of(row), row["intent_id"], MatchedVia(row["matched_via"]), row["reason"])
            for row in rows.mappings()
        )
    funding = tables.funding
    paid = connection.execute(
        sa.select(funding.c.symbol, funding.c.time_ms, funding.c.amount_usd).order_by(
            funding.c.symbol, funding.c.time_ms
        )
    )
    payments = [
        (symbol, time_ms, decimal_from_text(amount))
        for symbol, time_ms, amount in paid
        if time_ms >= since.get(symbol, 0)
    ]
    named = sorted({each.intent_id for each in booked if each.intent_id is not None})
    found: list[OrderIntent] = []
    for start in range(0, len(named), _NAMES_AT_ONCE):
        some = sa.select(intents).where(intents.c.intent_id.in_(named[start : start + _NAMES_AT_ONCE]))
        found += (order_rows.intent_of(row) for row in connection.execute(some.order_by("intent_id")).mappings())
    return {
        "recent_fills": tuple(booked),
        "recent_starts": recent_starts(since, _opening_balances(connection)),
        "recent_funding": tuple(payments),
        "recent_intents": tuple(found),
    }


def _recent_since(connection: sa.Connection) -> dict[str, int]:
    """Per symbol with fills, from when on they are recent: what `domain.recent_fills.recent_since` says, as SQL."""
    rows = connection.exec_driver_sql(
        "SELECT newest.symbol, coalesce(max(flat.time_ms), 0) FROM "
        "(SELECT symbol, max(time_ms) AS at_ms FROM fills GROUP BY symbol) AS newest "
        "LEFT JOIN fills AS flat ON flat.symbol = newest.symbol AND flat.start_position = '0' "
        "AND flat.time_ms <= newest.at_ms - ? AND NOT EXISTS (SELECT 1 FROM fills AS other "
        "WHERE other.symbol = flat.symbol AND other.time_ms = flat.time_ms AND other.trade_id <> flat.trade_id) "
        "GROUP BY newest.symbol",
        (LATE_MS,),
    )
    return {str(symbol): int(since_ms) for symbol, since_ms in rows}


def _opening_balances(connection: sa.Connection) -> list[PositionAdjusted]:
    return [
        PositionAdjusted(
            row["symbol"],
            decimal_from_text(row["size_before"]),
            decimal_from_text(row["size_after"]),
            decimal_from_text(row["price"]),
            row["at_ms"],
            row["kind"],
        )
        for row in connection.execute(sa.select(tables.position_adjustments).order_by("id")).mappings()
    ]


def _opening_intents(connection: sa.Connection) -> tuple[OrderIntent, ...]:
    """The intents that open positions name, in the order of the positions."""
    intents, positions = tables.order_intents, tables.positions
    rows = connection.execute(
        sa.select(intents)
        .join(positions, positions.c.intent_id == intents.c.intent_id)
        .where(positions.c.size != "0")
        .order_by(positions.c.symbol)
    )
    return tuple(order_rows.intent_of(row) for row in rows.mappings())


def _last_closes(connection: sa.Connection) -> tuple[tuple[str, LastClose], ...]:
    trades = tables.trades
    age = sa.func.row_number().over(
        partition_by=trades.c.symbol, order_by=(trades.c.closed_ms.desc(), trades.c.id.desc())
    )
    aged = sa.select(trades.c.symbol, trades.c.side, trades.c.closed_ms, trades.c.exit_reason, age.label("age"))
    newest = aged.subquery()
    rows = connection.execute(
        sa.select(newest.c.symbol, newest.c.side, newest.c.closed_ms, newest.c.exit_reason)
        .where(newest.c.age == 1)
        .order_by(newest.c.symbol)
    )
    return tuple(
        (symbol, LastClose(1 if side == "long" else -1, closed_ms, exit_reason == SIGNAL_FLIP))
        for symbol, side, closed_ms, exit_reason in rows
    )


def _last_entries(connection: sa.Connection) -> tuple[tuple[str, int], ...]:
    intents = tables.order_intents
    rows = connection.execute(
        sa.select(intents.c.symbol, sa.func.max(intents.c.decided_ms))
        .where(intents.c.action.in_(("OPEN", "ADD")))
        .group_by(intents.c.symbol)
        .order_by(intents.c.symbol)
    )
    return tuple((symbol, decided_ms) for symbol, decided_ms in rows)


def _recent_entries(connection: sa.Connection) -> tuple[tuple[int, str, Decimal], ...]:
    """What rates of entries count: those of the hour before the newest."""
    intents = tables.order_intents
    entries = intents.c.action.in_(("OPEN", "ADD"))
    newest = connection.execute(sa.select(sa.func.max(intents.c.decided_ms)).where(entries)).scalar() or 0
    rows = connection.execute(
        sa.select(intents.c.decided_ms, intents.c.symbol, intents.c.size, intents.c.limit_price)
        .where(entries, intents.c.decided_ms >= newest - HOUR_MS)
        .order_by(intents.c.decided_ms, intents.c.intent_id)
    )
    return tuple(
        (decided_ms, symbol, decimal_from_text(size) * decimal_from_text(price))
        for decided_ms, symbol, size, price in rows
    )


def _risk(connection: sa.Connection) -> RiskState:
    row = connection.execute(sa.select(tables.risk_state)).mappings().first()
    return RiskState() if row is None else position_rows.risk_of(row)


def _cash(connection: sa.Connection) -> Decimal | None:
    text = connection.execute(sa.select(tables.account.c.cash_usd)).scalar()
    return None if text is None else decimal_from_text(text)


def _total(connection: sa.Connection, column: sa.Column[str]) -> Decimal:
    return exact_sum(decimal_from_text(text) for text in connection.execute(sa.select(column)).scalars())
