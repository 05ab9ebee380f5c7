"""LiveOms under anything a venue and restarts can do to it: each decision once, each fill once, no order forgotten.

The machine plays the venue. It keeps its own list of executions and asks after every step whether what
the OMS and the written facts say still fits it. A restart is a new OMS that starts from the ledger.
"""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from adapters.sim.memory_ledger import MemoryLedger
from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.effects import Alert, SubmitOrder
from domain.events import FillArrived, FundingPaid, OrderCanceled, OrderOutcome
from domain.fact_text import fact_from_json, fact_to_json
from domain.facts import (
    CandlesSkipped,
    CashSet,
    DecisionsRecorded,
    FillRecorded,
    FillRevised,
    IntentRecorded,
    OrderChanged,
)
from domain.fills import Fill, MatchedVia
from domain.intents import Action, OrderIntent, Side, cloid_of
from domain.orders import Accepted, Order, OrderStatus, Rejected, RejectReason, Unknown, Would
from tests.builders import T0, TAG, make_fill, make_wish

SYMBOLS = st.sampled_from(["BTC", "ETH"])
SIDES = st.sampled_from(Side)
SIZES = st.sampled_from(["0.5", "1", "1.5", "2"]).map(Decimal)
PRICES = st.sampled_from(["99", "100", "101.5"]).map(Decimal)
ENTRIES = st.sampled_from([Action.OPEN, Action.ADD])
EXITS = st.sampled_from([Action.REDUCE, Action.CLOSE, Action.STOP, Action.TAKE_PROFIT])
CANDLES = st.sampled_from([T0, T0 + 60_000])
START_CASH = Decimal(10_000)
NEVER_LIVED = (OrderStatus.REJECTED, OrderStatus.DEAD, OrderStatus.WOULD)


@dataclass
class VenueOrder:
    """What the venue knows of an order of ours."""

    intent: OrderIntent
    cloid: str
    oid: int
    unfilled: Decimal


class LiveOmsMachine(RuleBasedStateMachine):
    orders: Bundle[VenueOrder] = Bundle("orders")
    fills: Bundle[Fill] = Bundle("fills")
    """Fills that were told at least once."""
    untold: Bundle[Fill] = Bundle("untold")
    """Fills that have happened and were not told yet."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger(TAG)
        self.ledger.commit([CashSet(START_CASH, T0)])
        self.seq = 0
        self.at_ms = T0
        self.next_id = 1
        self.entries: set[tuple[Action, str, int]] = set()
        self.told: dict[str, Fill] = {}
        self.flagged: set[str] = set()
        self.funded: set[tuple[str, int]] = set()
        self.start()

    # ── the process ──────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        state = self.ledger.load()
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, self.portfolio)
        self.portfolio.restore(state)
        self.oms.restore(state)

    def step(self) -> Step:
        self.seq += 1
        return Step(self.seq, self.at_ms)

    def commit(self, step: Step) -> None:
        """Write the facts as the ledger on disk would: as text, and read back."""
        facts = [fact for fact in step.facts if not isinstance(fact, (DecisionsRecorded, CandlesSkipped))]
        self.ledger.commit([fact_from_json(fact_to_json(fact)) for fact in facts])

    @rule(wait_ms=st.sampled_from([1, 1_000, 300_001, 600_001]))
    def time_passes(self, wait_ms: int) -> None:
        self.at_ms += wait_ms

    @rule()
    def restart(self) -> None:
        before = (self.portfolio.positions, self.portfolio.realised_usd, self.portfolio.fees_usd)
        live = sorted((live.order for live in self.oms.all_live_orders()), key=lambda order: order.request.cloid)
        self.start()
        assert (self.portfolio.positions, self.portfolio.realised_usd, self.portfolio.fees_usd) == before
        restored = (live.order for live in self.oms.all_live_orders())
        assert sorted(restored, key=lambda order: order.request.cloid) == live

    # ── deciding ─────────────────────────────────────────────────────────────────────────────

    @rule(target=orders, action=ENTRIES | EXITS, symbol=SYMBOLS, side=SIDES, size=SIZES, open_ms=CANDLES)
    def decide(self, action: Action, symbol: str, side: Side, size: Decimal, open_ms: int) -> VenueOrder:
        key = (action, symbol, open_ms)
        decided = action.increases_exposure and key in self.entries
        assert not action.increases_exposure or self.oms.has_decided(*key) == decided
        step = self.step()
        intent = self.oms.place(step, make_wish(action, symbol, side=side, size=size, open_ms=open_ms))
        if decided:
            assert intent is None and (step.facts, step.effects) == ([], [])
            action = Action.CLOSE  # what can always be decided, so that there is an order to give back
            intent = self.oms.place(step, make_wish(action, symbol, side=side, size=size, open_ms=open_ms))
        assert intent is not None
        self.entries.add(key)
        (recorded,), (submitted,) = step.facts, step.effects
        assert isinstance(recorded, IntentRecorded) and isinstance(submitted, SubmitOrder)
        assert recorded.order.request == submitted.request
        self.commit(step)
        self.next_id += 1
        return VenueOrder(intent, cloid_of(intent.intent_id, 1, TAG), self.next_id, size)

    # ── the venue ────────────────────────────────────────────────────────────────────────────

    @rule(order=orders, kind=st.sampled_from([Accepted, Accepted, Rejected, Unknown, Would]))
    def answer(self, order: VenueOrder, kind: type) -> None:
        """Any answer, early, late, again, or against what was said before."""
        step = self.step()
        if kind is Accepted:
            outcome: Accepted | Rejected | Unknown | Would = Accepted(order.oid)
        elif kind is Rejected:
            outcome = Rejected(RejectReason.OTHER, "no")
        else:
            outcome = Unknown("timed out") if kind is Unknown else Would()
        self.oms.on_outcome(step, OrderOutcome(order.cloid, outcome))
        self.commit(step)
        again = self.step()
        assert self.oms.on_outcome(again, OrderOutcome(order.cloid, outcome)) is None
        assert (again.facts, again.effects) == ([], [])

    @rule(order=orders)
    def end(self, order: VenueOrder) -> None:
        step = self.step()
        self.oms.on_canceled(step, OrderCanceled(order.cloid, "canceled"))
        self.commit(step)

    @rule(target=untold, order=orders, size=SIZES, price=PRICES, named=st.booleans())
    def execute(self, order: VenueOrder, size: Decimal, price: Decimal, named: bool) -> Fill:
        """An execution of an order of ours, at most what is left of it; told later."""
        size = min(size, order.unfilled) or Decimal("0.25")  # a venue that fills more than was ordered, at the end
        order.unfilled = max(Decimal(0), order.unfilled - size)
        return self.execution(order.intent.key.symbol, order.intent.side, size, price, order, named=named)

    @rule(target=fills, symbol=SYMBOLS, side=SIDES, size=SIZES, price=PRICES, cloid=st.sampled_from([None, "0xother"]))
    def trade_by_hand(self, symbol: str, side: Side, size: Decimal, price: Decimal, cloid: str | None) -> Fill:
        """An execution that is not ours, told at once."""
        return self.book(replace(self.execution(symbol, side, size, price, None, named=False), cloid=cloid))

    def execution(
        self, symbol: str, side: Side, size: Decimal, price: Decimal, order: VenueOrder | None, *, named: bool
    ) -> Fill:
        self.next_id += 1
        return make_fill(
            side,
            size,
            price,
            symbol=symbol,
            tid=self.next_id,
            oid=self.next_id if order is None else order.oid,
            cloid=order.cloid if order is not None and named else None,
            time_ms=self.at_ms,
            fee="0.000123",
            hash="0x" + "0" * 64,
        )

    @rule(target=fills, fill=consumes(untold))
    def tell(self, fill: Fill) -> Fill:
        return self.book(fill)

    def book(self, fill: Fill) -> Fill:
        step = self.step()
        known = {live.order.request.cloid: live.order for live in self.oms.live_orders(fill.symbol)}
        booked = self.oms.on_fill(step, FillArrived(fill))
        assert booked is not None
        self.told[fill.trade_id] = fill
        recorded = next(fact for fact in step.facts if isinstance(fact, FillRecorded))
        assert recorded.fill == fill
        if fill.cloid in known and known[fill.cloid].request.side is fill.side:
            assert (recorded.via, recorded.intent_id) == (MatchedVia.CLOID, known[fill.cloid].request.intent_id)
        if any(isinstance(effect, Alert) and effect.code == "order_overfilled" for effect in step.effects):
            assert recorded.intent_id is not None
            self.flagged.add(recorded.intent_id)
        self.commit(step)
        return fill

    @rule(fill=fills, price=PRICES)
    def tell_again(self, fill: Fill, price: Decimal) -> None:
        """A resend, perhaps with a corrected price, perhaps after a restart."""
        step = self.step()
        assert self.oms.on_fill(step, FillArrived(replace(fill, price=price, hash="0xother"))) is None
        assert (step.facts, step.effects) == ([], [])

    @rule(symbol=SYMBOLS, hour=st.integers(0, 2))
    def pay_funding(self, symbol: str, hour: int) -> None:
        step = self.step()
        event = FundingPaid(symbol, T0 + hour * 3_600_000, Decimal(1), Decimal("0.0000125"), Decimal("-0.01"))
        booked = self.oms.on_funding(step, event)
        assert booked == ((symbol, event.time_ms) not in self.funded)
        self.funded.add((symbol, event.time_ms))
        self.commit(step)

    # ── what always holds ────────────────────────────────────────────────────────────────────

    def newest_orders(self) -> dict[str, Order]:
        newest: dict[str, Order] = {}
        for fact in self.ledger.facts:
            if isinstance(fact, IntentRecorded | OrderChanged):
                newest[fact.order.request.cloid] = fact.order
        return newest

    def recorded_fills(self) -> list[FillRecorded]:
        """As they stand now: the oid that one fill names may lead to others that were told before it."""
        newest: dict[str, FillRecorded] = {}
        for fact in self.ledger.facts:
            if isinstance(fact, FillRecorded):
                assert fact.fill.trade_id not in newest
                newest[fact.fill.trade_id] = fact
            elif isinstance(fact, FillRevised):
                told = newest[fact.trade_id]
                newest[fact.trade_id] = replace(
                    told, intent_id=fact.intent_id, via=fact.via, realised=fact.realised, reason=fact.reason
                )
        return list(newest.values())

    @invariant()
    def every_fill_that_was_told_is_booked_once(self) -> None:
        counts = Counter(fact.fill.trade_id for fact in self.recorded_fills())
        assert counts == dict.fromkeys(self.told, 1)

    @invariant()
    def positions_are_the_sum_of_the_fills(self) -> None:
        for symbol in ("BTC", "ETH"):
            told = (fill.signed_size for fill in self.told.values() if fill.symbol == symbol)
            assert self.portfolio.position(symbol).size == sum(told, Decimal(0))

    @invariant()
    def an_order_has_filled_what_was_laid_to_it_and_no_more_than_it_asked_for(self) -> None:
        filled: Counter[str] = Counter()
        for fact in self.recorded_fills():
            assert (fact.intent_id is None) == (fact.via is MatchedVia.EXTERNAL)
            if fact.intent_id is not None:
                filled[fact.intent_id] += fact.fill.size  # type: ignore[assignment]
        for order in self.newest_orders().values():
            intent_id = order.request.intent_id
            assert order.filled == filled.get(intent_id, 0)
            assert (order.filled > order.request.size) == (intent_id in self.flagged)
            assert (order.status is OrderStatus.FILLED) == (order.filled >= order.request.size)
            assert order.status not in NEVER_LIVED or order.filled == 0

    @invariant()
    def fills_are_laid_to_orders_of_their_symbol_and_side(self) -> None:
        requests = {order.request.intent_id: order.request for order in self.newest_orders().values()}
        for fact in self.recorded_fills():
            if fact.intent_id is not None:
                request = requests[fact.intent_id]
                assert (request.symbol, request.side) == (fact.fill.symbol, fact.fill.side)

    @invariant()
    def the_live_orders_are_those_that_the_facts_say_may_live(self) -> None:
        written = {cloid: order for cloid, order in self.newest_orders().items() if order.status.may_live}
        assert {live.order.request.cloid: live.order for live in self.oms.all_live_orders()} == written
        for symbol in ("BTC", "ETH"):
            mine = [order for order in written.values() if order.request.symbol == symbol]
            unknown = any(order.status is OrderStatus.UNKNOWN for order in mine)
            assert len(self.oms.live_orders(symbol)) == len(mine)
            assert self.oms.has_unknown(symbol) == unknown

    @invariant()
    def no_decision_is_written_twice(self) -> None:
        intents = [fact.intent for fact in self.ledger.facts if isinstance(fact, IntentRecorded)]
        assert len({intent.intent_id for intent in intents}) == len(intents)
        entries = Counter(
            (intent.key.action, intent.key.symbol, intent.key.open_ms)
            for intent in intents
            if intent.key.action.increases_exposure
        )
        assert set(entries.values()) <= {1}

    @invariant()
    def the_books_are_the_sum_of_the_facts(self) -> None:
        state = self.ledger.load()
        portfolio = self.portfolio
        assert (portfolio.realised_usd, portfolio.fees_usd, portfolio.funding_usd) == (
            state.realised_usd,
            state.fees_usd,
            state.funding_usd,
        )


LiveOmsMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40)
TestLiveOms = LiveOmsMachine.TestCase
