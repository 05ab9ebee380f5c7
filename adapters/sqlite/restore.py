"""What an engine starts from: the ledger's tables as a `LedgerState`.

A row that cannot be read raises `ValueError`. Everything comes in an order of its own values,
never in the order of writing, so that equal ledgers give equal states.
"""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa

from adapters.sqlite import order_rows, position_rows, tables
from domain.candles import Interval
from domain.fact_text import decimal_from_text, exact_sum
from domain.facts import LedgerState
from domain.gating import SIGNAL_FLIP, LastClose
from domain.intents import OrderIntent
from domain.orders import Order
from domain.risk import RiskState

_LIVE_CLOIDS = sa.select(tables.orders.c.cloid).where(tables.MAY_LIVE)


def restore(connection: sa.Connection) -> LedgerState:
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
        newest_fill_ms=connection.execute(sa.select(sa.func.max(tables.fills.c.time_ms))).scalar() or 0,
    )


def _live_orders(connection: sa.Connection) -> tuple[tuple[OrderIntent, Order], ...]:
    attempts, intents = tables.order_attempts, tables.order_intents
    orders_by_cloid = {
        row["cloid"]: row for row in connection.execute(sa.select(tables.orders).where(tables.MAY_LIVE)).mappings()
    }
    live_attempts = (
        connection.execute(
            sa.select(attempts).where(attempts.c.cloid.in_(_LIVE_CLOIDS)).order_by(attempts.c.sent_ms, attempts.c.cloid)
        )
        .mappings()
        .all()
    )
    live_intents = sa.select(attempts.c.intent_id).where(attempts.c.cloid.in_(_LIVE_CLOIDS))
    intents_by_id = {
        row["intent_id"]: order_rows.intent_of(row)
        for row in connection.execute(sa.select(intents).where(intents.c.intent_id.in_(live_intents))).mappings()
    }
    return tuple(
        (intent, order_rows.order_of(attempt, orders_by_cloid[attempt["cloid"]], intent.deadline_ms))
        for attempt in live_attempts
        for intent in (intents_by_id[attempt["intent_id"]],)
    )


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
    newest = sa.select(sa.func.max(trades.c.id)).group_by(trades.c.symbol)
    rows = connection.execute(
        sa.select(trades.c.symbol, trades.c.side, trades.c.closed_ms, trades.c.exit_reason)
        .where(trades.c.id.in_(newest))
        .order_by(trades.c.symbol)
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


def _risk(connection: sa.Connection) -> RiskState:
    row = connection.execute(sa.select(tables.risk_state)).mappings().first()
    return RiskState() if row is None else position_rows.risk_of(row)


def _cash(connection: sa.Connection) -> Decimal | None:
    text = connection.execute(sa.select(tables.account.c.cash_usd)).scalar()
    return None if text is None else decimal_from_text(text)


def _total(connection: sa.Connection, column: sa.Column[str]) -> Decimal:
    return exact_sum(decimal_from_text(text) for text in connection.execute(sa.select(column)).scalars())
