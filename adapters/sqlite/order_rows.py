"""Intents, attempts, orders and fills as named columns, and back.

A row that cannot be read raises `ValueError`: the file was changed by other hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.candles import Interval
from domain.fact_text import decimal_from_text, decimal_text
from domain.facts import FillRecorded
from domain.intents import Action, IntentKey, OrderIntent, OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from domain.orders import Order, OrderStatus

Row = dict[str, Any]
Stored = Mapping[Any, Any]


def intent_row(intent: OrderIntent) -> Row:
    key = intent.key
    return {
        "intent_id": intent.intent_id,
        "account": key.account,
        "strategy": key.strategy,
        "symbol": key.symbol,
        "action": key.action.value,
        "interval": key.interval.value,
        "open_ms": key.open_ms,
        "ordinal": key.ordinal,
        **_terms_row(intent),
        "decided_ms": intent.decided_ms,
        "decided_seq": intent.decided_seq,
        "deadline_ms": intent.deadline_ms,
        "reason": intent.reason,
        "why": intent.why,
        "config_digest": intent.config_digest,
    }


def intent_of(row: Stored) -> OrderIntent:
    intent = OrderIntent(
        key=IntentKey(
            account=row["account"],
            strategy=row["strategy"],
            symbol=row["symbol"],
            action=Action(row["action"]),
            interval=Interval(row["interval"]),
            open_ms=row["open_ms"],
            ordinal=row["ordinal"],
        ),
        **_terms_of(row),
        decided_ms=row["decided_ms"],
        decided_seq=row["decided_seq"],
        deadline_ms=row["deadline_ms"],
        reason=row["reason"],
        why=row["why"],
        config_digest=row["config_digest"],
    )
    if intent.intent_id != row["intent_id"]:
        raise ValueError(f"intent {row['intent_id']} has the key of intent {intent.intent_id}")
    return intent


def attempt_row(order: Order) -> Row:
    request = order.request
    return {
        "cloid": request.cloid,
        "intent_id": request.intent_id,
        "attempt": order.attempt,
        "symbol": request.symbol,
        **_terms_row(request),
        "sent_ms": order.sent_ms,
    }


def order_row(order: Order, at_ms: int) -> Row:
    return {
        "cloid": order.request.cloid,
        "status": order.status.value,
        "oid": order.oid,
        "filled": decimal_text(order.filled),
        "reason": order.reason,
        "updated_ms": at_ms,
    }


def order_of(attempt: Stored, order: Stored, deadline_ms: int | None) -> Order:
    """`deadline_ms` is the intent's: an attempt has no other."""
    return Order(
        request=OrderRequest(
            cloid=attempt["cloid"],
            intent_id=attempt["intent_id"],
            symbol=attempt["symbol"],
            **_terms_of(attempt),
            deadline_ms=deadline_ms,
        ),
        attempt=attempt["attempt"],
        sent_ms=attempt["sent_ms"],
        status=OrderStatus(order["status"]),
        oid=order["oid"],
        filled=decimal_from_text(order["filled"]),
        reason=order["reason"],
    )


def fill_row(fact: FillRecorded) -> Row:
    fill = fact.fill
    return {
        "trade_id": fill.trade_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "price": decimal_text(fill.price),
        "size": decimal_text(fill.size),
        "time_ms": fill.time_ms,
        "tid": fill.tid,
        "oid": fill.oid,
        "cloid": fill.cloid,
        "fee": decimal_text(fill.fee),
        "start_position": None if fill.start_position is None else decimal_text(fill.start_position),
        "hash": fill.hash,
        "crossed": int(fill.crossed),
        "liquidation": int(fill.liquidation),
        "intent_id": fact.intent_id,
        "matched_via": fact.via.value,
        "reason": fact.reason,
        "realised": decimal_text(fact.realised),
        "seq": fact.seq,
    }


def _terms_row(terms: OrderIntent | OrderRequest) -> Row:
    """What an intent asks for and each of its attempts repeats."""
    trigger = terms.trigger
    return {
        "side": terms.side.value,
        "size": decimal_text(terms.size),
        "limit_price": decimal_text(terms.limit_price),
        "time_in_force": terms.time_in_force.value,
        "reduce_only": int(terms.reduce_only),
        "trigger_kind": None if trigger is None else trigger.kind.value,
        "trigger_price": None if trigger is None else decimal_text(trigger.price),
        "leverage": decimal_text(terms.leverage),
    }


def _terms_of(row: Stored) -> Row:
    kind = row["trigger_kind"]
    return {
        "side": Side(row["side"]),
        "size": decimal_from_text(row["size"]),
        "limit_price": decimal_from_text(row["limit_price"]),
        "time_in_force": TimeInForce(row["time_in_force"]),
        "reduce_only": bool(row["reduce_only"]),
        "trigger": None if kind is None else Trigger(TriggerKind(kind), decimal_from_text(row["trigger_price"])),
        "leverage": decimal_from_text(row["leverage"]),
    }
