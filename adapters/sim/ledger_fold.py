"""What a list of facts adds up to, folded in memory: the same state that the tables on disk give."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from domain.candles import Interval
from domain.exits import ExitState
from domain.fact_text import exact_sum
from domain.facts import (
    AnchorSet,
    CashSet,
    ExitStateChanged,
    FillRecorded,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    LedgerState,
    OrderChanged,
    PositionChanged,
    RiskChanged,
    TradeClosed,
)
from domain.gating import SIGNAL_FLIP, LastClose
from domain.intents import OrderIntent
from domain.orders import Order
from domain.positions import Position
from domain.risk import RiskState


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
        trade_ids=frozenset(fact.fill.trade_id for fact in fold.fills),
        live_orders=tuple(sorted(live, key=lambda pair: (pair[1].sent_ms, pair[1].request.cloid))),
        positions=tuple(held),
        opening_intents=tuple(
            fold.intents[position.intent_id] for position in held if position.intent_id in fold.intents
        ),
        exit_states=tuple(state for _, state in sorted(fold.exit_states.items())),
        last_closes=tuple(sorted(fold.last_closes.items(), key=lambda pair: pair[0])),
        last_entry_ms=tuple(sorted(fold.last_entries.items())),
        risk=fold.risk,
        anchors=tuple(
            (symbol, interval, open_ms)
            for (symbol, interval), open_ms in sorted(
                fold.anchors.items(), key=lambda item: (item[0][0], item[0][1].value)
            )
        ),
        cash_usd=fold.cash_usd,
        realised_usd=exact_sum(fact.realised for fact in fold.fills),
        fees_usd=exact_sum(fact.fill.fee for fact in fold.fills),
        funding_usd=exact_sum(fact.amount_usd for fact in fold.funding),
        funding_keys=frozenset((fact.symbol, fact.time_ms) for fact in fold.funding),
        newest_fill_ms=max((fact.fill.time_ms for fact in fold.fills), default=0),
    )


class _Fold:
    """The newest of every state, and all that happens once."""

    def __init__(self) -> None:
        self.intents: dict[str, OrderIntent] = {}
        self.orders: dict[str, Order] = {}
        self.fills: list[FillRecorded] = []
        self.funding: list[FundingRecorded] = []
        self.positions: dict[str, Position] = {}
        self.exit_states: dict[str, ExitState] = {}
        self.last_closes: dict[str, LastClose] = {}
        self.last_entries: dict[str, int] = {}
        self.risk = RiskState()
        self.anchors: dict[tuple[str, Interval], int] = {}
        self.cash_usd: Decimal | None = None

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
                self.fills.append(fact)
            case FundingRecorded():
                self.funding.append(fact)
            case PositionChanged(position):
                self.positions[position.symbol] = position
            case ExitStateChanged(symbol, None):
                self.exit_states.pop(symbol, None)
            case ExitStateChanged(symbol, state):
                assert state is not None
                self.exit_states[symbol] = state
            case TradeClosed(trade):
                flipped = trade.exit_reason == SIGNAL_FLIP
                self.last_closes[trade.symbol] = LastClose(trade.side.sign, trade.closed_ms, flipped)
            case RiskChanged(risk):
                self.risk = risk
            case AnchorSet(symbol, interval, open_ms):
                self.anchors[(symbol, interval)] = open_ms
            case CashSet(cash_usd):
                self.cash_usd = cash_usd
            case _:
                pass  # a config text changes nothing that an engine starts from
