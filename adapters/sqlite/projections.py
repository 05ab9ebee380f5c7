"""Projections: the tables that facts add up to, written with the facts in one transaction.

Facts of one commit are sorted by table first. States (an order, a position, a risk state) are
written once, in their last form; what happens once (an intent, a fill, a payment) is
inserted, and its key refuses a second. Parents go before what refers to them. What may be taken back
or changed after it was told (trades, gaps, a fill's owner) goes last, in the order in which it was said.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import sqlalchemy as sa

from adapters.sqlite import order_rows, position_rows, tables
from adapters.sqlite.order_rows import Row
from adapters.sqlite.tables import insert_sql, upsert_sql
from domain.exits import ExitState
from domain.facts import (
    AnchorSet,
    CashFlowRecorded,
    CashSet,
    ConfigTaken,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    EvidenceRecorded,
    ExitStateChanged,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    GapClosed,
    GapOpened,
    IntentRecorded,
    LedgerFact,
    OperatorActed,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    ProtectionLapsed,
    RiskChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.orders import Order
from domain.value_text import decimal_text

_ONCE = {
    table: insert_sql(table)
    for table in (
        tables.order_intents,
        tables.order_attempts,
        tables.orders,
        tables.fills,
        tables.trades,
        tables.funding,
        tables.config_versions,
        tables.order_evidence,
        tables.gaps,
        tables.position_adjustments,
        tables.differences,
        tables.operator_acts,
        tables.cash_flows,
        tables.protection_lapses,
    )
}
_STATES = {
    table: upsert_sql(table)
    for table in (
        tables.positions,
        tables.exit_states,
        tables.risk_state,
        tables.anchors,
        tables.account,
        tables.cursors,
    )
}
_CHANGE_ORDER = (
    "UPDATE orders SET status = :status, oid = :oid, filled = :filled, reason = :reason, updated_ms = :updated_ms "
    "WHERE cloid = :cloid"
)
_REVISE_FILL = (
    "UPDATE fills SET intent_id = :intent_id, matched_via = :matched_via, reason = :reason, realised = :realised "
    "WHERE trade_id = :trade_id"
)
_WITHDRAW_TRADE = "DELETE FROM trades WHERE closing_trade_id = :closing_trade_id"
_CLOSE_GAP = (
    "UPDATE gaps SET closed_ms = :at_ms, cause = :cause WHERE before_trade_id = :before_trade_id AND closed_ms IS NULL"
)
_CLOSE_DIFFERENCE = "UPDATE differences SET closed_ms = :at_ms, how = :how WHERE key = :key AND closed_ms IS NULL"
_END_EXITS = "DELETE FROM exit_states WHERE symbol = ?"


class Projections:
    """What the facts of one commit change in the tables."""

    def __init__(self, facts: Sequence[LedgerFact]) -> None:
        self._once: dict[sa.Table, list[Row]] = {}
        self._states: dict[sa.Table, dict[object, Row]] = {}
        self._new_orders: dict[str, Row] = {}
        self._changed_orders: dict[str, tuple[Order, int]] = {}
        self._exits: dict[str, ExitState | None] = {}
        self._notes: list[tuple[str, Row]] = []
        for fact in facts:
            self._take(fact)

    def write(self, connection: sa.Connection) -> None:
        """Write everything. The caller has begun a transaction and commits it."""
        self._write_once(connection, tables.order_intents)
        self._write_once(connection, tables.order_attempts)
        if self._new_orders:
            connection.exec_driver_sql(_ONCE[tables.orders], list(self._new_orders.values()))
        for order, at_ms in self._changed_orders.values():
            self._change_order(connection, order, at_ms)
        for table in (tables.fills, tables.funding, tables.config_versions, tables.cash_flows):
            self._write_once(connection, table)
        for statement, row in self._notes:
            changed = connection.exec_driver_sql(statement, row).rowcount
            if changed == 0 and statement is _REVISE_FILL:
                raise sqlite3.IntegrityError(f"fill {row['trade_id']} is revised and not in the ledger")
        self._sort_exits(connection)
        for table, rows in self._states.items():
            connection.exec_driver_sql(_STATES[table], list(rows.values()))

    def _take(self, fact: LedgerFact) -> None:
        match fact:
            case IntentRecorded(intent, order):
                self._add(tables.order_intents, order_rows.intent_row(intent))
                self._add(tables.order_attempts, order_rows.attempt_row(order))
                self._new_orders[order.request.cloid] = order_rows.order_row(order, order.sent_ms)
            case OrderChanged(order, at_ms):
                cloid = order.request.cloid
                if cloid in self._new_orders:
                    self._new_orders[cloid] = order_rows.order_row(order, at_ms)
                else:
                    self._changed_orders[cloid] = (order, at_ms)
            case FillRecorded():
                self._add(tables.fills, order_rows.fill_row(fact))
            case FillRevised():
                self._notes.append((_REVISE_FILL, order_rows.revision_row(fact)))
            case TradeClosed():
                self._note(tables.trades, position_rows.trade_row(fact))
            case TradeWithdrawn(key):
                self._notes.append((_WITHDRAW_TRADE, {"closing_trade_id": key}))
            case EvidenceRecorded():
                self._note(tables.order_evidence, order_rows.evidence_row(fact))
            case GapOpened():
                self._note(tables.gaps, position_rows.gap_row(fact))
            case GapClosed(before_trade_id, cause, at_ms):
                row = {"before_trade_id": before_trade_id, "cause": cause, "at_ms": at_ms}
                self._notes.append((_CLOSE_GAP, row))
            case PositionAdjusted():
                self._note(tables.position_adjustments, position_rows.adjustment_row(fact))
            case DifferenceOpened():
                self._note(tables.differences, position_rows.difference_row(fact))
            case DifferenceClosed(key, how, at_ms):
                self._notes.append((_CLOSE_DIFFERENCE, {"key": key, "how": how, "at_ms": at_ms}))
            case CursorMoved(name, until_ms):
                self._set(tables.cursors, name, {"name": name, "until_ms": until_ms})
            case FundingRecorded():
                self._add(tables.funding, position_rows.funding_row(fact))
            case PositionChanged(position):
                self._set(tables.positions, position.symbol, position_rows.position_row(position))
            case ExitStateChanged(symbol, state):
                self._exits[symbol] = state
            case RiskChanged(risk, at_ms):
                self._set(tables.risk_state, 1, position_rows.risk_row(risk, at_ms))
            case OperatorActed():
                self._note(tables.operator_acts, position_rows.operator_row(fact))
            case CashFlowRecorded():
                self._add(tables.cash_flows, position_rows.cash_flow_row(fact))
            case ProtectionLapsed():
                self._note(tables.protection_lapses, position_rows.lapse_row(fact))
            case AnchorSet(symbol, interval, open_ms):
                row = {"symbol": symbol, "interval": interval.value, "open_ms": open_ms}
                self._set(tables.anchors, (symbol, interval), row)
            case CashSet(cash_usd, at_ms):
                self._set(tables.account, 1, {"id": 1, "cash_usd": decimal_text(cash_usd), "at_ms": at_ms})
            case ConfigTaken():
                self._add(tables.config_versions, _config_row(fact))

    def _note(self, table: sa.Table, row: Row) -> None:
        self._notes.append((_ONCE[table], row))

    def _add(self, table: sa.Table, row: Row) -> None:
        self._once.setdefault(table, []).append(row)

    def _set(self, table: sa.Table, key: object, row: Row) -> None:
        self._states.setdefault(table, {})[key] = row

    def _write_once(self, connection: sa.Connection, table: sa.Table) -> None:
        rows = self._once.get(table)
        if rows:
            connection.exec_driver_sql(_ONCE[table], rows)

    def _change_order(self, connection: sa.Connection, order: Order, at_ms: int) -> None:
        """A change of an order that is not there yet is the next attempt at its intent."""
        row = order_rows.order_row(order, at_ms)
        if connection.exec_driver_sql(_CHANGE_ORDER, row).rowcount == 0:
            connection.exec_driver_sql(_ONCE[tables.order_attempts], order_rows.attempt_row(order))
            connection.exec_driver_sql(_ONCE[tables.orders], row)

    def _sort_exits(self, connection: sa.Connection) -> None:
        for symbol, state in self._exits.items():
            if state is None:
                connection.exec_driver_sql(_END_EXITS, (symbol,))
            else:
                self._set(tables.exit_states, symbol, position_rows.exit_state_row(state))


def _config_row(fact: ConfigTaken) -> Row:
    return {
        "id": None,  # SQLite counts
        "digest": fact.digest,
        "path": fact.path,
        "text": fact.text,
        "problems": json.dumps(fact.problems),
        "at_ms": fact.at_ms,
    }
