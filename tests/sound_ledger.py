"""A ledger as the daemon's own desks make it: what it says adds up. `tests.ledger_facts.story` does not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal

from application.live_oms import LiveOms, Wish
from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.events import FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.facts import (
    BORN,
    FILLS_READ,
    CandlesSkipped,
    CashSet,
    ConfigTaken,
    CursorMoved,
    DecisionsRecorded,
    DifferenceClosed,
    DifferenceOpened,
    EvidenceKind,
    EvidenceRecorded,
    LedgerFact,
    LedgerState,
)
from domain.fills import Fill, FillCause
from domain.intents import Action, OrderIntent, OrderRequest, Payload, Side, Trigger, TriggerKind
from domain.orders import Accepted, Rejected, RejectReason
from domain.positions import opened_with
from tests.ledger_facts import T0, TAG

CONFIG = "c0ffee"
GATES = [["dedupe", "new", "new", True], ["price_age_ms", 120, 15000, True], ["adx", 31.5, 22.0, True]]
ENTRY_WHY = {
    "signal": "BUY",
    "confidence": "high",
    "price": 100.5,
    "price_source": "bbo",
    "price_age_ms": 120,
    "breadth_pct": 55.0,
    "btc_bullish": True,
    "gates": GATES,
    "exits": {"atr": 1.0, "adx_threshold": 22.0, "tp_mult": 4.0},
}


class PlainEncoder:
    """Writes every order as its cloid: what is signed does not matter here."""

    def payload(self, request: OrderRequest, nonce: int, expires_ms: int) -> Payload:
        return Payload(nonce, expires_ms, json.dumps({"type": "order", "c": request.cloid}), f"{nonce:064x}")


@dataclass
class Desk:
    """An account whose every step is kept as one commit of facts."""

    commits: list[list[LedgerFact]] = field(default_factory=list)
    at_ms: int = T0 + 61_000
    tid: int = 900
    oid: int = 70

    def __post_init__(self) -> None:
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, Portfolio(), PlainEncoder())
        self.oms.restore(LedgerState(instance_tag=TAG))
        self.held: dict[str, Decimal] = {}

    @property
    def facts(self) -> list[LedgerFact]:
        return [fact for commit in self.commits for fact in commit]

    def add(self, *facts: LedgerFact) -> None:
        self.commits.append(list(facts))

    def step(self) -> Step:
        self.at_ms += 1_000
        return Step(len(self.commits) + 1, self.at_ms)

    def keep(self, step: Step) -> None:
        facts = [fact for fact in step.facts if not isinstance(fact, (DecisionsRecorded, CandlesSkipped))]
        if facts:
            self.commits.append(facts)

    def place(
        self, symbol: str, side: Side, size: str, action: Action = Action.OPEN, trigger: str | None = None
    ) -> OrderIntent:
        step = self.step()
        kind = TriggerKind.TAKE_PROFIT if action is Action.TAKE_PROFIT else TriggerKind.STOP_LOSS
        entry = action.increases_exposure
        wish = Wish(
            action=action,
            symbol=symbol,
            side=side,
            size=Decimal(size),
            limit_price=Decimal(100),
            open_ms=self.at_ms // 60_000 * 60_000 - 60_000,
            leverage=Decimal(3),
            reason="buy_high" if entry else "stop_loss",
            why=json.dumps(ENTRY_WHY if entry else {"price": 99.5, "price_source": "bbo", "rule": "stop_loss"}),
            config_digest=CONFIG,
            trigger=None if trigger is None else Trigger(kind, Decimal(trigger)),
            deadline_ms=self.at_ms + 5_000 if entry else None,
        )
        intent = self.oms.place(step, wish)
        assert intent is not None
        self.keep(step)
        return intent

    def cloid_of(self, intent: OrderIntent) -> str:
        found = [live for live in self.oms.live_orders(intent.key.symbol) if live.intent == intent]
        return found[-1].order.request.cloid

    def accept(self, intent: OrderIntent) -> int:
        self.oid += 1
        step = self.step()
        self.oms.on_outcome(step, OrderOutcome(self.cloid_of(intent), Accepted(self.oid)))
        self.keep(step)
        return self.oid

    def fill(
        self,
        symbol: str,
        side: Side,
        size: str,
        price: str = "100",
        *,
        intent: OrderIntent | None = None,
        start: str | None = None,
        cause: FillCause = FillCause.ORDER,
        oid: int = 5_000,
    ) -> Fill:
        step = self.step()
        self.tid += 1
        held = self.held.get(symbol, Decimal(0)) if start is None else Decimal(start)
        fill = Fill(
            symbol=symbol,
            side=side,
            price=Decimal(price),
            size=Decimal(size),
            time_ms=self.at_ms,
            tid=self.tid,
            oid=self.oid if intent is not None else oid,
            cloid=None if intent is None else self.cloid_of(intent),
            fee=Decimal("0.05"),
            start_position=held,
            hash=f"0x{self.tid:064x}",
            cause=cause,
        )
        self.held[symbol] = held + fill.signed_size
        self.oms.on_fill(step, FillArrived(fill))
        self.keep(step)
        return fill


def sound_desk() -> Desk:
    """Round trips, a rejected and a second attempt, strangers' fills, a gap, a balance from before, payments."""
    desk = Desk()
    desk.add(ConfigTaken(CONFIG, "overrides.yaml", "global:\n  trade: {}\n", (), T0))
    desk.add(CursorMoved(BORN, T0), CashSet(Decimal("10000"), T0))
    opened = desk.place("BTC", Side.BUY, "3")
    desk.accept(opened)
    desk.fill("BTC", Side.BUY, "1", "100", intent=opened)
    desk.fill("BTC", Side.BUY, "2", "101", intent=opened)
    stop = desk.place("BTC", Side.SELL, "3", Action.STOP, trigger="95")
    desk.accept(stop)
    step = desk.step()
    desk.oms.on_funding(step, FundingPaid("BTC", desk.at_ms, Decimal(3), Decimal("0.0001"), Decimal("-0.03")))
    desk.keep(step)
    desk.fill("BTC", Side.SELL, "3", "95", intent=stop)

    _rejected_and_tried_again(desk)
    desk.fill("SOL", Side.SELL, "4", "20")  # by hand
    desk.fill("SOL", Side.BUY, "6", "19")  # and turned around
    desk.fill("HYPE", Side.BUY, "1", "30")
    desk.fill("HYPE", Side.BUY, "1", "31", start="5")  # four are missing: a gap
    step = desk.step()
    desk.oms.open_with(step, opened_with("XRP", Decimal(-7), Decimal("2.5"), desk.at_ms))
    desk.keep(step)
    desk.held["XRP"] = Decimal(-7)
    desk.fill("XRP", Side.BUY, "2", "2.25", cause=FillCause.LIQUIDATION)
    desk.add(
        DifferenceOpened("position:HYPE", "position", "HYPE", "2", "6", "fills that we have not heard of", desk.at_ms)
    )
    desk.add(DifferenceClosed("position:HYPE", "they agree again", desk.at_ms + 1))
    desk.add(CursorMoved(FILLS_READ, desk.at_ms))
    return desk


def _rejected_and_tried_again(desk: Desk) -> None:
    desk.at_ms = (desk.at_ms // 60_000 + 1) * 60_000
    entry = desk.place("ETH", Side.SELL, "2")
    step = desk.step()
    answer = Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match")
    cloid = desk.cloid_of(entry)
    desk.oms.on_outcome(step, OrderOutcome(cloid, answer))
    desk.keep(step)
    step = desk.step()
    [rejected] = desk.oms.waiting_for_another_attempt()
    assert desk.oms.try_again(step, rejected)
    desk.keep(step)
    second = desk.cloid_of(entry)
    desk.accept(entry)
    desk.fill("ETH", Side.SELL, "1.5", "200", intent=entry)
    step = desk.step()
    desk.oms.on_canceled(step, OrderCanceled(second, "iocCancelRejected"))
    desk.keep(step)
    desk.add(EvidenceRecorded(second, EvidenceKind.FOUND, 0, "the venue knows it", desk.at_ms))
