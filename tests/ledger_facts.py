"""Facts for tests, with literal numbers: pieces, and a story that has every kind."""

from __future__ import annotations

from decimal import Decimal

from domain.candles import Interval
from domain.confidence import Confidence
from domain.exits import ExitState
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
from domain.fills import Fill, MatchedVia
from domain.intents import (
    Action,
    IntentKey,
    OrderIntent,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    request_for,
)
from domain.orders import Accepted, Order, with_fill, with_outcome
from domain.positions import Position, Trade
from domain.risk import RiskState

TAG = b"\x12\x34"
T0 = 1_700_000_000_000


def intent(
    symbol: str = "BTC", open_ms: int = T0, action: Action = Action.OPEN, *, stop: bool = False, ordinal: int = 0
) -> OrderIntent:
    return OrderIntent(
        key=IntentKey("0xme", "mei_alpha_v1", symbol, action, Interval.M1, open_ms, ordinal),
        side=Side.BUY,
        size=Decimal("0.50"),
        limit_price=Decimal("50000.5"),
        time_in_force=TimeInForce.GTC if stop else TimeInForce.IOC,
        reduce_only=stop,
        trigger=Trigger(TriggerKind.STOP_LOSS, Decimal("49000")) if stop else None,
        decided_ms=open_ms + 61_000,
        decided_seq=17,
        deadline_ms=None if stop else open_ms + 66_000,
        leverage=Decimal(3),
        reason="signal",
        why='{"signal":"BUY"}',
        config_digest="c0ffee",
    )


def order_for(decision: OrderIntent, attempt: int = 1) -> Order:
    return Order(request_for(decision, attempt, TAG), attempt, decision.decided_ms)


def recorded(decision: OrderIntent) -> IntentRecorded:
    return IntentRecorded(decision, order_for(decision))


def accepted(order: Order, oid: int = 77) -> OrderChanged:
    return OrderChanged(with_outcome(order, Accepted(oid)), order.sent_ms + 200)


def filled(order: Order, size: str = "0.5", tid: int = 900, oid: int = 77, fee: str = "0.1") -> FillRecorded:
    fill = Fill(
        symbol=order.request.symbol,
        side=order.request.side,
        price=Decimal("50000"),
        size=Decimal(size),
        time_ms=order.sent_ms + 300,
        tid=tid,
        oid=oid,
        cloid=order.request.cloid,
        fee=Decimal(fee),
        start_position=Decimal(0),
        hash="0xfeed",
    )
    return FillRecorded(fill, order.request.intent_id, MatchedVia.CLOID, Decimal("0"), "signal", 18)


def trade(symbol: str = "BTC", closed_ms: int = T0 + 600_000, exit_reason: str = "stop_loss") -> Trade:
    return Trade(
        symbol=symbol,
        side=Side.BUY,
        opened_ms=T0 + 61_300,
        closed_ms=closed_ms,
        size=Decimal("0.5"),
        entry_price=Decimal("50000"),
        exit_price=Decimal("51000"),
        pnl=Decimal("500"),
        fees=Decimal("0.20"),
        funding=Decimal("-0.01"),
        intent_id=None,
        exit_reason=exit_reason,
    )


def exit_state(symbol: str = "BTC", locked_stop: float | None = None) -> ExitState:
    return ExitState(symbol, 120.5, Confidence.HIGH, 22.0, 4.0, T0, locked_stop=locked_stop)


def story() -> list[LedgerFact]:
    """A round trip in BTC that ended, a stop of it that rests, and a position in ETH: every kind of fact."""
    opening, order = recorded(intent()), order_for(intent())
    stop = recorded(intent(action=Action.STOP, stop=True))
    other = recorded(intent("ETH", T0 + 60_000))
    return [
        ConfigTaken("c0ffee", "overrides.yaml", "global: {}\n", (), T0),
        ConfigTaken("bad", "overrides.yaml", "glob: {}\n", ("line 1: unknown key 'glob'",), T0 + 1),
        AnchorSet("BTC", Interval.M1, T0 - 36_000_000),
        CashSet(Decimal("10000.00"), T0),
        opening,
        accepted(order),
        filled(order, "0.2", tid=900),
        filled(order, "0.3", tid=901, fee="0.123456789"),
        OrderChanged(with_fill(accepted(order).order, Decimal("0.5"), 77), T0 + 61_400),
        PositionChanged(Position("BTC", Decimal("0.5"), Decimal("50000"), T0 + 61_300, T0 + 61_300)),
        ExitStateChanged("BTC", exit_state()),
        stop,
        accepted(stop.order, 78),
        FundingRecorded("BTC", T0 + 3_600_000, Decimal("0.5"), Decimal("0.0000125"), Decimal("-0.3125")),
        RiskChanged(RiskState(Decimal("10000"), 19_675, Decimal("9999.5"), "daily_loss"), T0 + 100),
        PositionChanged(Position("BTC", updated_ms=T0 + 600_000)),
        ExitStateChanged("BTC", None),
        TradeClosed(trade(), '{"oms":{"matched_via":"cloid"}}', 40),
        TradeClosed(trade(closed_ms=T0 + 700_000, exit_reason="signal_flip"), "{}", 41),
        other,
        filled(other.order, "0.4", tid=902),
        PositionChanged(Position("ETH", Decimal("-0.4"), Decimal("3000"), T0, T0, intent_id=other.intent.intent_id)),
        ExitStateChanged("ETH", exit_state("ETH", locked_stop=2999.5)),
    ]


def troubles() -> list[LedgerFact]:
    """What a troubled hour leaves after the story: an unknown order, a missing fill, a difference, a cursor."""
    opened = recorded(intent("ETH", T0 + 60_000))
    fill = filled(opened.order, "0.4", tid=902).fill
    return [
        EvidenceRecorded(opened.order.request.cloid, EvidenceKind.ABSENT, T0 + 200, "unknown by its id", T0 + 210),
        GapOpened("ETH", None, fill.trade_id, Decimal(0), Decimal("0.1"), fill.time_ms, T0 + 800_000),
        GapClosed(fill.trade_id, "the missing fills came", T0 + 801_000),
        FillRevised(fill.trade_id, None, MatchedVia.EXTERNAL, Decimal("1.5"), "manual", T0 + 802_000),
        TradeClosed(trade("ETH", T0 + 803_000), "{}", 42, "closing"),
        TradeWithdrawn("closing", T0 + 804_000),
        PositionAdjusted("SOL", Decimal(0), Decimal(-7), Decimal("20.5"), T0, "opening_balance"),
        DifferenceOpened("position:ETH", "position", "ETH", "-0.4", "-0.5", "fills are missing", T0 + 805_000),
        DifferenceClosed("position:ETH", "they agree again", T0 + 806_000),
        CursorMoved("fills_read", T0 + 807_000),
        OperatorActed("r1", "kill hard", None, "cli", "news", True, "the kill latch is halt", T0 + 808_000),
        CashFlowRecorded("0xf1", "withdraw", T0 + 809_000, Decimal("-500.25"), T0 + 809_500),
        ProtectionLapsed("ETH", T0 + 810_000, T0 + 822_000, "no stop of it lives"),
    ]
