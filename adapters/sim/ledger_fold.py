"""What a list of facts adds up to, folded in memory: the same state that the tables on disk give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.candles import Interval
from domain.exits import ExitState
from domain.fact_text import exact_sum
from domain.facts import (
    AnchorSet,
    BookedBefore,
    CashFlowRecorded,
    CashSet,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    ExitStateChanged,
    FillRecorded,
    FillRevised,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    LedgerState,
    OrderChanged,
    PositionAdjusted,
    PositionChanged,
    RiskChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.gating import SIGNAL_FLIP, LastClose
from domain.intents import OrderIntent, OrderRequest
from domain.orders import ENDED_ORDERS_KEPT, Order
from domain.positions import Position, Trade
from domain.recent_fills import recent_since, recent_starts
from domain.risk import HOUR_MS, RiskState


def folded(facts: Sequence[LedgerFact], instance_tag: bytes) -> LedgerState:
    """Fold facts, in order, into the state an engine starts from; everything in an order of its own values."""
    fold = _Fold()
    for fact in facts:
        fold.take(fact)
    live = ((fold.intents[order.request.intent_id], order) for order in fold.orders.values() if order.status.may_live)
    held = [position for _, position in sorted(fold.positions.items()) if not position.is_flat]
    return LedgerState(
        instance_tag=instance_tag,
        intent_ids=frozenset(fold.intents),
        trade_ids=frozenset(fold.fills),
        live_orders=tuple(sorted(live, key=lambda pair: (pair[1].sent_ms, pair[1].request.cloid))),
        positions=tuple(held),
        opening_intents=tuple(
            fold.intents[position.intent_id] for position in held if position.intent_id in fold.intents
        ),
        exit_states=tuple(state for _, state in sorted(fold.exit_states.items())),
        last_closes=_last_closes(fold),
        last_entry_ms=tuple(sorted(fold.last_entries.items())),
        risk=fold.risk,
        anchors=tuple(
            (symbol, interval, open_ms)
            for (symbol, interval), open_ms in sorted(
                fold.anchors.items(), key=lambda item: (item[0][0], item[0][1].value)
            )
        ),
        cash_usd=fold.cash_usd,
        realised_usd=exact_sum(fact.realised for fact in fold.fills.values()),
        fees_usd=exact_sum(fact.fill.fee for fact in fold.fills.values()),
        funding_usd=exact_sum(fact.amount_usd for fact in fold.funding),
        funding_keys=frozenset((fact.symbol, fact.time_ms) for fact in fold.funding),
        newest_fill_ms=max((fact.fill.time_ms for fact in fold.fills.values()), default=0),
        last_nonce=max((each.payload.nonce for each in _requests(fold) if each.payload is not None), default=0),
        ended_orders=_ended_orders(fold),
        **_recent(fold),
        cursors=tuple(sorted(fold.cursors.items())),
        open_differences=tuple(
            (key, fact.kind, fact.symbol, fact.at_ms) for key, fact in sorted(fold.differences.items())
        ),
        recent_entries=_recent_entries(fold),
        flow_ids=frozenset(fold.flows),
    )


def _recent_entries(fold: _Fold) -> tuple[tuple[int, str, Decimal], ...]:
    entries = sorted(
        (intent.decided_ms, intent.intent_id, intent)
        for intent in fold.intents.values()
        if intent.key.action.increases_exposure
    )
    since_ms = entries[-1][0] - HOUR_MS if entries else 0
    return tuple(
        (decided_ms, intent.key.symbol, intent.size * intent.limit_price)
        for decided_ms, _, intent in entries
        if decided_ms >= since_ms
    )


def _requests(fold: _Fold) -> Iterable[OrderRequest]:
    return (order.request for order in fold.orders.values())


def _last_closes(fold: _Fold) -> tuple[tuple[str, LastClose], ...]:
    newest: dict[str, Trade] = {}
    for fact in fold.trades:
        known = newest.setdefault(fact.trade.symbol, fact.trade)
        if fact.trade.closed_ms >= known.closed_ms:
            newest[fact.trade.symbol] = fact.trade
    return tuple(
        (symbol, LastClose(trade.side.sign, trade.closed_ms, trade.exit_reason == SIGNAL_FLIP))
        for symbol, trade in sorted(newest.items())
    )


def _ended_orders(fold: _Fold) -> tuple[tuple[OrderIntent, Order], ...]:
    by_symbol: dict[str, list[Order]] = {}
    for order in sorted(fold.orders.values(), key=_age):
        if order.status.is_terminal:
            by_symbol.setdefault(order.request.symbol, []).append(order)
    kept = sorted((order for orders in by_symbol.values() for order in orders[-ENDED_ORDERS_KEPT:]), key=_age)
    return tuple((fold.intents[order.request.intent_id], order) for order in kept)


def _age(order: Order) -> tuple[int, str]:
    return order.sent_ms, order.request.cloid


def _recent(fold: _Fold) -> dict[str, Any]:
    by_symbol: dict[str, list[FillRecorded]] = {}
    for fact in fold.fills.values():
        by_symbol.setdefault(fact.fill.symbol, []).append(fact)
    since = {symbol: recent_since([fact.fill for fact in facts]) for symbol, facts in by_symbol.items()}
    booked = [
        BookedBefore(fact.fill, fact.intent_id, fact.via, fact.reason)
        for symbol, facts in sorted(by_symbol.items())
        for fact in sorted(facts, key=lambda each: (each.fill.time_ms, each.fill.trade_id))
        if fact.fill.time_ms >= since[symbol]
    ]
    payments = sorted(
        (fact.symbol, fact.time_ms, fact.amount_usd)
        for fact in fold.funding
        if fact.time_ms >= since.get(fact.symbol, 0)
    )
    named = sorted({each.intent_id for each in booked if each.intent_id is not None})
    return {
        "recent_fills": tuple(booked),
        "recent_starts": recent_starts(since, fold.adjusted),
        "recent_funding": tuple(payments),
        "recent_intents": tuple(fold.intents[intent_id] for intent_id in named),
    }


class _Fold:
    """The newest of every state, and all that happens once."""

    def __init__(self) -> None:
        self.intents: dict[str, OrderIntent] = {}
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, FillRecorded] = {}
        self.funding: list[FundingRecorded] = []
        self.positions: dict[str, Position] = {}
        self.exit_states: dict[str, ExitState] = {}
        self.trades: list[TradeClosed] = []
        self.last_entries: dict[str, int] = {}
        self.risk = RiskState()
        self.anchors: dict[tuple[str, Interval], int] = {}
        self.cash_usd: Decimal | None = None
        self.cursors: dict[str, int] = {}
        self.differences: dict[str, DifferenceOpened] = {}
        self.adjusted: list[PositionAdjusted] = []
        self.flows: set[str] = set()

    def take(self, fact: LedgerFact) -> None:
        match fact:
            case IntentRecorded(intent, order):
                self.intents[intent.intent_id] = intent
                self.orders[order.request.cloid] = order
                if intent.key.action.increases_exposure:
                    earlier = self.last_entries.get(intent.key.symbol, intent.decided_ms)
                    self.last_entries[intent.key.symbol] = max(earlier, intent.decided_ms)
            case OrderChanged(order):
                self.orders[order.request.cloid] = order
            case FillRecorded():
                self.fills[fact.fill.trade_id] = fact
            case FillRevised(trade_id, intent_id, via, realised, reason):
                told = self.fills[trade_id]  # the ledger has looked that it is there
                self.fills[trade_id] = replace(told, intent_id=intent_id, via=via, realised=realised, reason=reason)
            case PositionAdjusted():
                self.adjusted.append(fact)
            case CursorMoved(name, until_ms):
                self.cursors[name] = until_ms
            case DifferenceOpened(key):
                self.differences[key] = fact
            case DifferenceClosed(key):
                self.differences.pop(key, None)
            case FundingRecorded():
                self.funding.append(fact)
            case PositionChanged(position):
                self.positions[position.symbol] = position
            case ExitStateChanged(symbol, None):
                self.exit_states.pop(symbol, None)
            case ExitStateChanged(symbol, state):
                assert state is not None
                self.exit_states[symbol] = state
            case TradeClosed():
                self.trades.append(fact)
            case TradeWithdrawn(key):
                self.trades = [trade for trade in self.trades if trade.closing_trade_id != key]
            case RiskChanged(risk):
                self.risk = risk
            case CashFlowRecorded(flow_id):
                self.flows.add(flow_id)
            case AnchorSet(symbol, interval, open_ms):
                self.anchors[(symbol, interval)] = open_ms
            case CashSet(cash_usd):
                self.cash_usd = cash_usd
            case _:
                pass  # what was looked at, and texts of configs: nothing that an engine starts from
