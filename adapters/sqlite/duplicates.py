"""Why a constraint refused a commit, in words. Asked only after the refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from domain.facts import (
    CashFlowRecorded,
    EvidenceRecorded,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    OrderChanged,
    TradeClosed,
)

_STORED = {
    "intent": "SELECT 1 FROM order_intents WHERE intent_id = ?",
    "cloid": "SELECT 1 FROM order_attempts WHERE cloid = ?",
    "attempt": "SELECT 1 FROM order_attempts WHERE intent_id = ? AND attempt = ?",
    "fill": "SELECT 1 FROM fills WHERE trade_id = ?",
    "trade": "SELECT 1 FROM trades WHERE closing_trade_id = ?",
    "flow": "SELECT 1 FROM cash_flows WHERE flow_id = ?",
    "funding": "SELECT 1 FROM funding WHERE symbol = ? AND time_ms = ?",
}
_Key = tuple[str | int, ...]


def duplicate_in(connection: sa.Connection, facts: Sequence[LedgerFact]) -> str | None:
    """Name the first key that is there already, or that refers to an intent that is not; None when all fit."""
    claimed: set[tuple[str, _Key]] = set()

    def is_there(table: str, key: _Key) -> bool:
        return (table, key) in claimed or connection.exec_driver_sql(_STORED[table], key).first() is not None

    for fact in facts:
        for table, key in _claims(fact):
            if is_there(table, key) and not (isinstance(fact, OrderChanged) and is_there("cloid", _cloid(fact))):
                return f"{table} {' '.join(str(part) for part in key)} is in the ledger already"
            claimed.add((table, key))
        for table, key in _needs(fact):
            if not is_there(table, key):
                return f"{type(fact).__name__} names {table} {key[0]}, which is not in the ledger"
        parent = _parent(fact)
        if parent is not None and not is_there("intent", (parent,)):
            return f"{type(fact).__name__} names intent {parent}, which is not in the ledger"
    return None


def _claims(fact: LedgerFact) -> Iterator[tuple[str, _Key]]:
    match fact:
        case IntentRecorded(intent, order):
            yield "intent", (intent.intent_id,)
            yield "cloid", (order.request.cloid,)
            yield "attempt", (order.request.intent_id, order.attempt)
        case OrderChanged(order):
            yield "attempt", (order.request.intent_id, order.attempt)
            yield "cloid", (order.request.cloid,)
        case FillRecorded(fill):
            yield "fill", (fill.trade_id,)
        case TradeClosed(closing_trade_id=key) if key:
            yield "trade", (key,)
        case FundingRecorded(symbol, time_ms):
            yield "funding", (symbol, time_ms)
        case CashFlowRecorded(flow_id):
            yield "flow", (flow_id,)
        case _:
            return


def _needs(fact: LedgerFact) -> Iterator[tuple[str, _Key]]:
    match fact:
        case FillRevised(trade_id=trade_id):
            yield "fill", (trade_id,)
        case EvidenceRecorded(cloid=cloid):
            yield "cloid", (cloid,)
        case _:
            return


def _parent(fact: LedgerFact) -> str | None:
    match fact:
        case IntentRecorded(order=order) | OrderChanged(order=order):
            return order.request.intent_id
        case FillRecorded(intent_id=intent_id) | FillRevised(intent_id=intent_id):
            return intent_id
        case TradeClosed(trade=trade):
            return trade.intent_id
        case _:
            return None


def _cloid(fact: OrderChanged) -> _Key:
    return (fact.order.request.cloid,)
