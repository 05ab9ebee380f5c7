"""Positions, their trades, funding, exits and risk as named columns, and back.

A row that cannot be read raises `ValueError`: the file was changed by other hands.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal

from adapters.sqlite.order_rows import Row, Stored
from domain.confidence import Confidence
from domain.exits import ExitState
from domain.facts import (
    CashFlowRecorded,
    DifferenceOpened,
    FundingRecorded,
    GapOpened,
    OperatorActed,
    PositionAdjusted,
    ProtectionLapsed,
    TradeClosed,
)
from domain.intents import Side
from domain.positions import Position
from domain.risk import Latch, RiskState
from domain.value_text import decimal_from_text, decimal_text


def trade_row(fact: TradeClosed) -> Row:
    trade = fact.trade
    return {
        "id": None,  # SQLite counts
        "symbol": trade.symbol,
        "side": "long" if trade.side is Side.BUY else "short",
        "opened_ms": trade.opened_ms,
        "closed_ms": trade.closed_ms,
        "size": decimal_text(trade.size),
        "entry_price": decimal_text(trade.entry_price),
        "exit_price": decimal_text(trade.exit_price),
        "pnl": decimal_text(trade.pnl),
        "fees": decimal_text(trade.fees),
        "funding": decimal_text(trade.funding),
        "intent_id": trade.intent_id,
        "exit_reason": trade.exit_reason,
        "meta_json": fact.meta,
        "seq": fact.seq,
        "closing_trade_id": fact.closing_trade_id,
    }


def funding_row(fact: FundingRecorded) -> Row:
    return {
        "symbol": fact.symbol,
        "time_ms": fact.time_ms,
        "size": decimal_text(fact.size),
        "rate": decimal_text(fact.rate),
        "amount_usd": decimal_text(fact.amount_usd),
    }


def gap_row(fact: GapOpened) -> Row:
    return {
        "id": None,
        "symbol": fact.symbol,
        "after_trade_id": fact.after_trade_id,
        "before_trade_id": fact.before_trade_id,
        "expected": decimal_text(fact.expected),
        "found": decimal_text(fact.found),
        "time_ms": fact.time_ms,
        "opened_ms": fact.at_ms,
        "closed_ms": None,
        "cause": None,
    }


def adjustment_row(fact: PositionAdjusted) -> Row:
    return {
        "id": None,
        "symbol": fact.symbol,
        "size_before": decimal_text(fact.before),
        "size_after": decimal_text(fact.after),
        "price": decimal_text(fact.price),
        "at_ms": fact.at_ms,
        "kind": fact.kind,
    }


def difference_row(fact: DifferenceOpened) -> Row:
    return {
        "id": None,
        "key": fact.key,
        "kind": fact.kind,
        "symbol": fact.symbol,
        "ours": fact.ours,
        "venue": fact.venue,
        "cause": fact.cause,
        "opened_ms": fact.at_ms,
        "closed_ms": None,
        "how": None,
    }


_POSITION_AMOUNTS = (
    "size",
    "entry_price",
    "peak_size",
    "opened_size",
    "opened_notional",
    "closed_size",
    "closed_notional",
    "realised",
    "fees",
    "funding",
)


def position_row(position: Position) -> Row:
    return {
        "symbol": position.symbol,
        "opened_ms": position.opened_ms,
        "updated_ms": position.updated_ms,
        "intent_id": position.intent_id,
        **{name: decimal_text(getattr(position, name)) for name in _POSITION_AMOUNTS},
    }


def position_of(row: Stored) -> Position:
    return Position(
        symbol=row["symbol"],
        opened_ms=row["opened_ms"],
        updated_ms=row["updated_ms"],
        intent_id=row["intent_id"],
        **{name: decimal_from_text(row[name]) for name in _POSITION_AMOUNTS},
    )


def exit_state_row(state: ExitState) -> Row:
    """NaN, "not known", is NULL in a column; a locked stop that is not known is no locked stop."""
    return {
        "symbol": state.symbol,
        "entry_atr": _known(state.entry_atr),
        "confidence": int(state.confidence),
        "entry_adx_threshold": _known(state.entry_adx_threshold),
        "tp_mult": _known(state.tp_mult),
        "opened_key_ms": state.opened_key_ms,
        "locked_stop": _known(state.locked_stop),
        "take_profit_taken": int(state.take_profit_taken),
        "adds": state.adds,
        "last_add_ms": state.last_add_ms,
        "adopted": int(state.adopted),
    }


def exit_state_of(row: Stored) -> ExitState:
    return ExitState(
        symbol=row["symbol"],
        entry_atr=_nan_if_none(row["entry_atr"]),
        confidence=Confidence(row["confidence"]),
        entry_adx_threshold=_nan_if_none(row["entry_adx_threshold"]),
        tp_mult=_nan_if_none(row["tp_mult"]),
        opened_key_ms=row["opened_key_ms"],
        locked_stop=row["locked_stop"],
        take_profit_taken=bool(row["take_profit_taken"]),
        adds=row["adds"],
        last_add_ms=row["last_add_ms"],
        adopted=bool(row["adopted"]),
    )


def risk_row(state: RiskState, at_ms: int) -> Row:
    return {
        "id": 1,
        "peak_equity_usd": _maybe_text(state.peak_equity_usd),
        "day": state.day,
        "day_start_equity_usd": _maybe_text(state.day_start_equity_usd),
        "tripped": state.tripped,
        "updated_ms": at_ms,
        "latch": state.latch.value,
        "latch_why": state.latch_why,
        "latched_ms": state.latched_ms,
        "paused": state.paused,
        "leaving": json.dumps(state.leaving),
        "residuals": json.dumps(state.residuals),
        "cooldowns": json.dumps(state.cooldowns),
        "slippage_bps": json.dumps([decimal_text(each) for each in state.slippage_bps]),
    }


def risk_of(row: Stored) -> RiskState:
    return RiskState(
        peak_equity_usd=_maybe_decimal(row["peak_equity_usd"]),
        day=row["day"],
        day_start_equity_usd=_maybe_decimal(row["day_start_equity_usd"]),
        tripped=row["tripped"],
        latch=Latch(row["latch"]),
        latch_why=row["latch_why"],
        latched_ms=row["latched_ms"],
        paused=row["paused"],
        leaving=tuple((symbol, why) for symbol, why in json.loads(row["leaving"])),
        residuals=tuple((symbol, why) for symbol, why in json.loads(row["residuals"])),
        cooldowns=tuple((symbol, until_ms) for symbol, until_ms in json.loads(row["cooldowns"])),
        slippage_bps=tuple(decimal_from_text(text) for text in json.loads(row["slippage_bps"])),
    )


def operator_row(fact: OperatorActed) -> Row:
    return {
        "id": None,
        "request_id": fact.request_id,
        "verb": fact.verb,
        "symbol": fact.symbol,
        "source": fact.source,
        "reason": fact.reason,
        "is_done": int(fact.is_done),
        "answer": fact.answer,
        "at_ms": fact.at_ms,
    }


def cash_flow_row(fact: CashFlowRecorded) -> Row:
    return {
        "flow_id": fact.flow_id,
        "kind": fact.kind,
        "time_ms": fact.time_ms,
        "amount_usd": decimal_text(fact.amount_usd),
        "at_ms": fact.at_ms,
    }


def lapse_row(fact: ProtectionLapsed) -> Row:
    return {
        "id": None,
        "symbol": fact.symbol,
        "since_ms": fact.since_ms,
        "until_ms": fact.until_ms,
        "why": fact.why,
    }


def _maybe_text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _maybe_decimal(text: str | None) -> Decimal | None:
    return None if text is None else decimal_from_text(text)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value
