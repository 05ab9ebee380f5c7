"""Executions in the light of the position they met: what each did, and what is left open at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.facts import FillRecorded
from domain.fills import split_flip
from domain.performance import net_of, side_word
from domain.positions import Position, Trade, apply_fill
from domain.value_text import decimal_text
from entrypoints.report.amounts import money, price
from entrypoints.report.shapes import ChartMark, ChartTrade, OpenPosition


@dataclass(frozen=True, slots=True)
class SymbolStory:
    """All executions of one symbol, in order, and the position they left."""

    marks: tuple[ChartMark, ...]
    position: Position


def stories(fills: Sequence[FillRecorded]) -> dict[str, SymbolStory]:
    """Tell every symbol's executions anew from flat, by the rules the books themselves follow."""
    by_symbol: dict[str, list[FillRecorded]] = {}
    for fact in fills:
        by_symbol.setdefault(fact.fill.symbol, []).append(fact)
    return {symbol: _story(symbol, facts) for symbol, facts in by_symbol.items()}


def chart_trade(trade: Trade) -> ChartTrade:
    return ChartTrade(
        side=side_word(trade.side),
        opened_ms=trade.opened_ms,
        closed_ms=trade.closed_ms,
        size=decimal_text(trade.size),
        entry_price=price(trade.entry_price),
        exit_price=price(trade.exit_price),
        pnl=money(trade.pnl),
        fees=money(trade.fees),
        funding=money(trade.funding),
        net=money(net_of(trade)),
        reason=trade.exit_reason,
    )


def open_positions(told: Mapping[str, SymbolStory], last_prices: Mapping[str, Decimal]) -> list[OpenPosition]:
    """Positions that are not flat at the end, by symbol, at the last close of their candles."""
    rows = []
    for symbol in sorted(told):
        position = told[symbol].position
        if position.is_flat:
            continue
        last = last_prices.get(symbol)
        rows.append(
            OpenPosition(
                symbol=symbol,
                side=side_word(position.side),
                opened_ms=position.opened_ms,
                size=decimal_text(abs(position.size)),
                entry_price=price(position.entry_price),
                last_price=None if last is None else price(last),
                unrealised=None if last is None else money(position.unrealised(last)),
            )
        )
    return rows


def _story(symbol: str, facts: Sequence[FillRecorded]) -> SymbolStory:
    position = Position(symbol)
    marks: list[ChartMark] = []
    trade = 0
    for fact in facts:
        for part in split_flip(fact.fill, position.size):
            before, position = position, apply_fill(position, part, fact.intent_id, fact.reason).position
            kind = _kind(before, position)
            held = before if position.is_flat else position
            marks.append(
                ChartMark(
                    kind=kind,
                    side=side_word(held.side),
                    time_ms=part.time_ms,
                    price=price(part.price),
                    size=decimal_text(part.size),
                    reason=fact.reason,
                    trade=trade,
                )
            )
            trade += kind == "close"
    for mark in marks:
        if mark["trade"] == trade:  # the round trip that has not ended
            mark["trade"] = -1
    return SymbolStory(tuple(marks), position)


def _kind(before: Position, after: Position) -> str:
    if before.is_flat:
        return "open"
    if after.is_flat:
        return "close"
    return "add" if abs(after.size) > abs(before.size) else "reduce"
