"""Intents, attempts, orders and fills as named columns, and back.

A row that cannot be read raises `ValueError`: the file was changed by other hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.candles import Interval
from domain.facts import EvidenceRecorded, FillRecorded, FillRevised
from domain.fills import Fill, FillCause
from domain.intents import (
    Action,
    IntentKey,
    OrderIntent,
    OrderRequest,
    Payload,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)
from domain.orders import Order, OrderStatus
from domain.value_text import decimal_from_text, decimal_text

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
        **_payload_row(request.payload),
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
            payload=_payload_of(attempt),
        ),
        attempt=attempt["attempt"],
        sent_ms=attempt["sent_ms"],
        status=OrderStatus(order["status"]),
        oid=order["oid"],
        filled=decimal_from_text(order["filled"]),
        reason=order["reason"],
    )


def fill_of(row: Stored) -> Fill:
    start = row["start_position"]
    return Fill(
        symbol=row["symbol"],
        side=Side(row["side"]),
        price=decimal_from_text(row["price"]),
        size=decimal_from_text(row["size"]),
        time_ms=row["time_ms"],
        tid=row["tid"],
        oid=row["oid"],
        cloid=row["cloid"],
        fee=decimal_from_text(row["fee"]),
        start_position=None if start is None else decimal_from_text(start),
        hash=row["hash"],
        crossed=bool(row["crossed"]),
        cause=FillCause(row["cause"]),
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
        "cause": fill.cause.value,
        "intent_id": fact.intent_id,
        "matched_via": fact.via.value,
        "reason": fact.reason,
        "realised": decimal_text(fact.realised),
        "seq": fact.seq,
    }


def revision_row(fact: FillRevised) -> Row:
    return {
        "trade_id": fact.trade_id,
        "intent_id": fact.intent_id,
        "matched_via": fact.via.value,
        "reason": fact.reason,
        "realised": decimal_text(fact.realised),
    }


def evidence_row(fact: EvidenceRecorded) -> Row:
    return {
        "id": None,  # SQLite counts
        "cloid": fact.cloid,
        "kind": fact.kind.value,
        "venue_ms": fact.venue_ms,
        "text": fact.text,
        "at_ms": fact.at_ms,
    }


def _payload_row(payload: Payload | None) -> Row:
    return {
        "nonce": None if payload is None else payload.nonce,
        "expires_after_ms": None if payload is None else payload.expires_ms,
        "action_json": None if payload is None else payload.action,
        "action_hash": None if payload is None else payload.digest,
    }


def _payload_of(row: Stored) -> Payload | None:
    if row["nonce"] is None:
        return None
    return Payload(row["nonce"], row["expires_after_ms"], row["action_json"], row["action_hash"])


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
