"""Orders and executions for people and scripts: read-only, newest so many, oldest of them first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import tables
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.reading import reading
from domain.value_text import decimal_from_text


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One attempt at an intent, and what is known of it. Prices of a trigger are None where there is none."""

    cloid: str
    oid: int | None
    intent_id: str
    attempt: int
    symbol: str
    action: str
    side: str
    size: Decimal
    filled: Decimal
    limit_price: Decimal
    trigger_price: Decimal | None
    time_in_force: str
    reduce_only: bool
    status: str
    status_reason: str
    reason: str
    sent_ms: int
    updated_ms: int
    nonce: int | None
    evidence: int


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One fill. `intent_id` is None for an external one, and `reason` is then its kind."""

    trade_id: str
    symbol: str
    side: str
    price: Decimal
    size: Decimal
    time_ms: int
    fee: Decimal
    realised: Decimal
    start_position: Decimal | None
    crossed: bool
    cause: str
    tid: int
    oid: int
    cloid: str | None
    hash: str
    intent_id: str | None
    matched_via: str
    reason: str


def orders(
    path: Path, symbol: str | None = None, limit: int | None = None, *, may_live: bool = False
) -> list[OrderRow]:
    """Orders in the order of sending; with `may_live`, those that the venue may still hold."""
    attempts, told, intents = tables.order_attempts, tables.orders, tables.order_intents
    evidence = tables.order_evidence
    count = sa.select(sa.func.count()).where(evidence.c.cloid == attempts.c.cloid).correlate(attempts).scalar_subquery()
    wanted = (
        sa.select(
            attempts,
            told.c.oid,
            told.c.status,
            told.c.filled,
            told.c.reason.label("status_reason"),
            told.c.updated_ms,
            intents.c.action,
            intents.c.reason,
            count.label("evidence"),
        )
        .join(told, told.c.cloid == attempts.c.cloid)
        .join(intents, intents.c.intent_id == attempts.c.intent_id)
        .order_by(attempts.c.sent_ms.desc(), attempts.c.cloid.desc())
        .limit(limit)
    )
    if symbol is not None:
        wanted = wanted.where(attempts.c.symbol == symbol)
    if may_live:
        wanted = wanted.where(tables.MAY_LIVE)
    with reading(path, LEDGER) as connection:
        return [_order_of(row) for row in reversed(connection.execute(wanted).mappings().all())]


def executions(
    path: Path, symbol: str | None = None, limit: int | None = None, *, external: bool = False
) -> list[ExecutionRow]:
    """Fills in the order of the venue's times; with `external`, those that belong to no intent."""
    fills = tables.fills
    wanted = sa.select(fills).order_by(fills.c.time_ms.desc(), fills.c.seq.desc(), fills.c.trade_id.desc()).limit(limit)
    if symbol is not None:
        wanted = wanted.where(fills.c.symbol == symbol)
    if external:
        wanted = wanted.where(fills.c.intent_id.is_(None))
    with reading(path, LEDGER) as connection:
        return [_execution_of(row) for row in reversed(connection.execute(wanted).mappings().all())]


def _order_of(row: Any) -> OrderRow:
    return OrderRow(
        cloid=row["cloid"],
        oid=row["oid"],
        intent_id=row["intent_id"],
        attempt=row["attempt"],
        symbol=row["symbol"],
        action=row["action"],
        side=row["side"],
        size=decimal_from_text(row["size"]),
        filled=decimal_from_text(row["filled"]),
        limit_price=decimal_from_text(row["limit_price"]),
        trigger_price=_maybe(row["trigger_price"]),
        time_in_force=row["time_in_force"],
        reduce_only=bool(row["reduce_only"]),
        status=row["status"],
        status_reason=row["status_reason"],
        reason=row["reason"],
        sent_ms=row["sent_ms"],
        updated_ms=row["updated_ms"],
        nonce=row["nonce"],
        evidence=row["evidence"],
    )


def _execution_of(row: Any) -> ExecutionRow:
    return ExecutionRow(
        trade_id=row["trade_id"],
        symbol=row["symbol"],
        side=row["side"],
        price=decimal_from_text(row["price"]),
        size=decimal_from_text(row["size"]),
        time_ms=row["time_ms"],
        fee=decimal_from_text(row["fee"]),
        realised=decimal_from_text(row["realised"]),
        start_position=_maybe(row["start_position"]),
        crossed=bool(row["crossed"]),
        cause=row["cause"],
        tid=row["tid"],
        oid=row["oid"],
        cloid=row["cloid"],
        hash=row["hash"],
        intent_id=row["intent_id"],
        matched_via=row["matched_via"],
        reason=row["reason"],
    )


def _maybe(text: str | None) -> Decimal | None:
    return None if text is None else decimal_from_text(text)
