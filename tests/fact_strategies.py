"""Strategies that draw facts: any at all, for what must carry everything, and plausible ones that meet again."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.candles import Interval
from domain.facts import (
    AnchorSet,
    CashFlowRecorded,
    CashSet,
    ConfigTaken,
    CursorMoved,
    DifferenceClosed,
    DifferenceOpened,
    EvidenceKind,
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
from domain.fills import FillCause, MatchedVia
from domain.intents import Action, Payload, Side
from domain.orders import OrderStatus
from domain.positions import Position
from domain.risk import Latch, RiskState
from tests.ledger_facts import T0, exit_state, filled, intent, order_for, trade

SYMBOLS = ("BTC", "ETH", "kPEPE")
_DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12) | st.sampled_from(
    (Decimal("-0"), Decimal("1.10"), Decimal("1E+3"), Decimal("1E-18"), Decimal(1) / Decimal(3))
)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(),
    Decimal: _DECIMALS,
}


def any_of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a fact's field, or any instance of a dataclass made of such."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(hint, **{field.name: any_of_type(hints[field.name]) for field in dataclasses.fields(hint)})
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is types.UnionType:
        return st.one_of([st.none() if kind is types.NoneType else any_of_type(kind) for kind in arguments])
    assert typing.get_origin(hint) is tuple
    if arguments[-1] is not Ellipsis:
        return st.tuples(*map(any_of_type, arguments))
    return st.lists(any_of_type(arguments[0]), max_size=3).map(tuple)


def any_fact() -> st.SearchStrategy[LedgerFact]:
    """A fact of any kind with any content: what a codec must carry, not what an engine would say."""
    return st.sampled_from(typing.get_args(LedgerFact)).flatmap(any_of_type)


def plausible_facts() -> st.SearchStrategy[LedgerFact]:
    """A fact about few symbols, candles and ids, so that keys meet again: some repeat, some name what is missing."""
    return st.builds(
        _plausible_fact,
        st.sampled_from((IntentRecorded, *typing.get_args(LedgerFact))),
        st.sampled_from(SYMBOLS),
        st.integers(0, 3),
        st.sampled_from(_PLAUSIBLE_AMOUNTS),
        st.sampled_from(list(Action)[:2]),
        st.sampled_from(list(OrderStatus)),
        st.booleans(),
    )


_PLAUSIBLE_AMOUNTS = tuple(
    Decimal(text) for text in ("0", "-0.00", "1.10", "-2.5", "1E+3", "0.3333333333333333333333333333", "7E-19")
)


def _plausible_fact(
    kind: type, symbol: str, number: int, amount: Decimal, action: Action, status: OrderStatus, choice: bool
) -> LedgerFact:
    decision = intent(symbol, T0 + 60_000 * (number % 2), action)
    order = order_for(decision, 1 + number // 2)
    if order.attempt > 1:
        sealed = Payload(T0 + 2 * number, T0 + 10_000, '{"type":"order"}', "ab12")
        order = replace(order, request=replace(order.request, payload=sealed))
    order = replace(order, status=status, filled=abs(amount), oid=number)
    owner = decision.intent_id if choice else None
    if kind is IntentRecorded:
        return IntentRecorded(decision, order)
    if kind is OrderChanged:
        return OrderChanged(order, T0 + number)
    if kind is FillRecorded:
        fill = replace(filled(order, tid=number).fill, fee=amount, cause=list(FillCause)[number % len(FillCause)])
        return FillRecorded(fill, owner, MatchedVia.OID, amount, "signal", number)
    if kind is TradeClosed:
        closed = trade(symbol, T0 + number, "signal_flip" if number == 1 else "stop_loss")
        return TradeClosed(
            replace(closed, side=list(Side)[number % 2], intent_id=owner, pnl=amount), "{}", number, str(number)
        )
    if kind is PositionChanged:
        return PositionChanged(Position(symbol, amount, amount, number))
    if kind is FundingRecorded:
        return FundingRecorded(symbol, T0 + number, amount, amount, amount)
    if kind is ExitStateChanged:
        return ExitStateChanged(symbol, exit_state(symbol, float(amount)) if choice else None)
    if kind is RiskChanged:
        latch = list(Latch)[number % 3]
        pairs = ((symbol, "why"),) if choice else ()
        shut = RiskState(amount, number, amount if choice else None, "daily_loss", latch, "cli", T0, "paused", pairs)
        return RiskChanged(replace(shut, cooldowns=((symbol, T0),), slippage_bps=(amount, amount)), T0)
    if kind is OperatorActed:
        named = symbol if choice else None
        return OperatorActed(str(number), "flatten", named, "cli", "because", choice, "done", T0 + number)
    if kind is CashFlowRecorded:
        return CashFlowRecorded(f"{symbol}{number}", "deposit", T0, amount, T0 + number)
    if kind is ProtectionLapsed:
        return ProtectionLapsed(symbol, T0, T0 + number, "no stop of it lives")
    if kind is AnchorSet:
        return AnchorSet(symbol, Interval.M1 if choice else Interval.H1, T0 + number)
    if kind is CashSet:
        return CashSet(amount, T0)
    if kind is EvidenceRecorded:
        return EvidenceRecorded(order.request.cloid, list(EvidenceKind)[number], T0, "seen", T0 + number)
    if kind is FillRevised:
        trade_id = filled(order, tid=number).fill.trade_id
        return FillRevised(trade_id, owner, MatchedVia.STATUS, amount, "signal", T0)
    if kind is PositionAdjusted:
        return PositionAdjusted(symbol, Decimal(0), amount, abs(amount), T0 + number, "opening_balance")
    if kind is GapOpened:
        return GapOpened(symbol, "one" if choice else None, str(number), amount, amount, T0, T0 + number)
    if kind is GapClosed:
        return GapClosed(str(number), "the missing fills came", T0 + number)
    if kind is TradeWithdrawn:
        return TradeWithdrawn(str(number), T0)
    if kind is DifferenceOpened:
        return DifferenceOpened(f"position:{symbol}:{number}", "position", symbol, "1", "2", "unknown", T0 + number)
    if kind is DifferenceClosed:
        return DifferenceClosed(f"position:{symbol}:{number}", "they agree again", T0 + number)
    if kind is CursorMoved:
        return CursorMoved("fills_read" if choice else "born", T0 + number)
    assert kind is ConfigTaken, f"{kind} is drawn and not made"
    return ConfigTaken(str(number), "overrides.yaml", "", ("a problem",) if choice else (), T0)
