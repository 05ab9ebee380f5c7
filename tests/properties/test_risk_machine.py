"""Caps, latches and closings under any orders, fills, prices, operators and restarts (I-07, I-26, I-27).

The machine plays the venue and the supervisor around a whole engine: facts are written as text before effects leave,
and an entry that the latch has overtaken does not leave. What must hold is judged by the venue's own books.
"""

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.sim.memory_ledger import MemoryLedger
from application.step import Step
from domain.effects import CancelOrder, LookForOrder, SubmitOrder
from domain.events import (
    AccountSnapshot,
    CashFlowed,
    Event,
    FillArrived,
    OperatorSpoke,
    OrderCanceled,
    OrderLooked,
    OrderOutcome,
    TimerFired,
)
from domain.fact_text import fact_from_json, fact_to_json
from domain.facts import CandlesSkipped, DecisionsRecorded, RiskChanged
from domain.fills import Fill
from domain.intents import OrderRequest, Side
from domain.operator import OperatorVerb
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from domain.risk import Latch, RiskState, tighter
from tests.engine_builders import (
    BUY,
    MINUTE_MS,
    NEUTRAL,
    SELL,
    START_MS,
    EngineRig,
    ScriptedStrategy,
    universe_of,
)

D = Decimal
ZERO = D(0)
SYMBOLS = ("ADA", "BTC", "ETH")
CAPS = {"order": D(600), "symbol": D(700), "side": D(900), "total": D(1200)}
CONFIG = """
global:
  trade:
    entry_min_confidence: low
    max_open_positions: 2
    max_notional_usd_per_order: 600
    entry_cooldown_s: 0
    add_cooldown_minutes: 0
    add_min_profit_atr: 0
    reentry_cooldown_minutes: 0
    enable_partial_tp: true
  risk:
    max_symbol_notional_usd: 700
    max_side_notional_usd: 900
    max_total_notional_usd: 1200
    max_drawdown_pct: 30
    max_entry_orders_per_minute: 3
    reject_cooldown_s: 30
"""
OPINIONS = st.tuples(*[st.sampled_from([BUY, SELL, NEUTRAL])] * len(SYMBOLS))
PRICES = st.sampled_from([88.0, 95.0, 99.0, 100.0, 101.0, 106.0, 115.0])
REASONS = st.sampled_from(
    [
        RejectReason.NO_IMMEDIATE_MATCH,
        RejectReason.INSUFFICIENT_MARGIN,
        RejectReason.MIN_NOTIONAL,
        RejectReason.NOT_SENT,
        RejectReason.REDUCE_ONLY_WOULD_INCREASE,
        RejectReason.OTHER,
    ]
)
PICK = st.integers(0, 10**6)


@dataclass
class VenueOrder:
    """An order that has left; `remaining` is what may yet fill. `halted`: it left after a halt was written."""

    request: OrderRequest
    remaining: Decimal
    halted: bool
    is_answered: bool = False

    @property
    def may_fill(self) -> bool:
        return self.remaining > 0


class RiskMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger(b"ab")
        self.universe = universe_of(*SYMBOLS)
        self.orders: list[VenueOrder] = []
        self.positions: dict[str, Decimal] = dict.fromkeys(SYMBOLS, ZERO)
        self.cost: dict[str, Decimal] = dict.fromkeys(SYMBOLS, ZERO)
        """What the open part of each position was opened for, USD."""
        self.cash = D(10_000)
        self.written = RiskState()
        self.tid = 0
        self.words = 0
        self.candle_ms = START_MS
        self.price = dict.fromkeys(SYMBOLS, 100.0)
        self.start(START_MS)

    # ── the process ──────────────────────────────────────────────────────────────────────────

    def start(self, at_ms: int) -> None:
        state = self.ledger.load()
        held = tuple((symbol, size) for symbol, size in self.positions.items() if size)
        strategy = ScriptedStrategy(self.universe)
        self.rig = EngineRig(
            self.universe, strategy, CONFIG, state=state, cash=str(self.cash), positions=held, start_ms=at_ms
        )
        for symbol, price in self.price.items():
            self.rig.quote(price, symbol)
        self.candle_ms = at_ms
        self.deliver_since(0)

    def take(self, event: Event) -> Step:
        before = len(self.rig.steps)
        step = self.rig.take(event)
        self.deliver_since(before)
        return step

    def deliver_since(self, place: int) -> None:
        while place < len(self.rig.steps):
            self.deliver(self.rig.steps[place])
            place += 1

    def deliver(self, step: Step) -> None:
        """What the supervisor does with a step: facts first, then effects, entries only where nothing bars them."""
        facts = [fact for fact in step.facts if not isinstance(fact, (DecisionsRecorded, CandlesSkipped))]
        self.ledger.commit([fact_from_json(fact_to_json(fact)) for fact in facts])
        for fact in facts:
            if isinstance(fact, RiskChanged):
                self.written = fact.state
        for effect in step.effects:
            match effect:
                case SubmitOrder(request=request):
                    self.send(request)
                case CancelOrder(cloid=cloid):
                    self.end_at_venue(cloid)
                case LookForOrder(cloid=cloid):
                    self.look(cloid)
                case _:
                    pass

    def send(self, request: OrderRequest) -> None:
        if not request.reduce_only and self.rig.engine.guard.bars_entries():
            self.take(OrderOutcome(request.cloid, Rejected(RejectReason.NOT_SENT, "not sent: barred")))
            return
        if request.reduce_only:
            self.judge_exit(request)
        else:
            self.judge_entry(request)
        self.orders.append(VenueOrder(request, request.size, self.written.latch is Latch.HALT))

    # ── what must be true of whatever leaves ─────────────────────────────────────────────────

    def judge_entry(self, request: OrderRequest) -> None:
        """I-26: nothing that increases exposure leaves what is shut. I-07: at worst, every cap holds."""
        assert self.written.latch is Latch.OPEN and not self.written.paused and not self.written.tripped
        worth = dict(self.cost)
        by_side = dict.fromkeys(Side, ZERO)
        for symbol, size in self.positions.items():
            if size:
                by_side[Side.BUY if size > 0 else Side.SELL] += self.cost[symbol]
        entries = [order for order in self.orders if order.may_fill and not order.request.reduce_only]
        pending = [(each.request, each.remaining) for each in entries]
        for each, left in (*pending, (request, request.size)):
            worth[each.symbol] += left * each.limit_price
            by_side[each.side] += left * each.limit_price
        assert request.size * request.limit_price <= CAPS["order"]
        assert worth[request.symbol] <= CAPS["symbol"]
        assert by_side[request.side] <= CAPS["side"]
        assert sum(worth.values(), ZERO) <= CAPS["total"]
        assert sum(1 for value in worth.values() if value) <= 2

    def judge_exit(self, request: OrderRequest) -> None:
        """I-27: against the position, and no larger than it."""
        size = self.rig.engine.portfolio.position(request.symbol).size
        assert size and request.side.sign * size < 0 and request.size <= abs(size)

    # ── the market ───────────────────────────────────────────────────────────────────────────

    @rule(opinions=OPINIONS)
    def candle_closes(self, opinions: tuple[object, ...]) -> None:
        self.candle_ms = max(self.candle_ms, self.rig.now_ms // MINUTE_MS * MINUTE_MS)
        for symbol, opinion in zip(SYMBOLS, opinions, strict=True):
            self.rig.strategy.script[symbol, self.candle_ms] = opinion  # type: ignore[assignment]
        before = len(self.rig.steps)
        self.rig.close_candle(self.candle_ms)
        self.deliver_since(before)
        self.candle_ms += MINUTE_MS

    @rule(opinions=OPINIONS)
    def a_minute_goes_by_as_it_should(self, opinions: tuple[object, ...]) -> None:
        """A candle closes, what is sent is taken, and what does not wait for a price fills."""
        self.candle_closes(opinions)
        self.venue_takes_all()

    @rule(price=PRICES, symbol=st.sampled_from(SYMBOLS), wait_ms=st.sampled_from([200, 3_000, 20_000]))
    def price_moves(self, price: float, symbol: str, wait_ms: int) -> None:
        self.price[symbol] = price
        before = len(self.rig.steps)
        self.rig.quote(price, symbol, at_ms=self.rig.now_ms + wait_ms)
        self.deliver_since(before)

    @rule(wait_ms=st.sampled_from([200, 1_000, 15_000, 70_000]))
    def time_passes(self, wait_ms: int) -> None:
        self.rig.now_ms += wait_ms
        self.take(TimerFired())

    # ── the venue ────────────────────────────────────────────────────────────────────────────

    def pick(self, orders: list[VenueOrder], number: int) -> VenueOrder:
        return orders[number % len(orders)]

    def venue_takes_all(self) -> None:
        for order in self.unanswered():
            order.is_answered = True
            self.take(OrderOutcome(order.request.cloid, Accepted(self.orders.index(order) + 1)))
        for order in self.open_orders():
            if order.request.trigger is None:
                self.execute(order)

    def open_orders(self) -> list[VenueOrder]:
        return [order for order in self.orders if order.may_fill]

    def unanswered(self) -> list[VenueOrder]:
        return [order for order in self.orders if not order.is_answered]

    @precondition(lambda self: self.unanswered())
    @rule(number=PICK, is_lost=st.booleans())
    def venue_accepts(self, number: int, is_lost: bool) -> None:
        order = self.pick(self.unanswered(), number)
        order.is_answered = True
        oid = self.orders.index(order) + 1
        self.take(OrderOutcome(order.request.cloid, Unknown("timed out") if is_lost else Accepted(oid)))

    @precondition(lambda self: self.unanswered())
    @rule(number=PICK, reason=REASONS)
    def venue_refuses(self, number: int, reason: RejectReason) -> None:
        order = self.pick(self.unanswered(), number)
        if order.remaining < order.request.size:
            return  # it has filled in part: it was taken
        order.is_answered, order.remaining = True, ZERO
        self.take(OrderOutcome(order.request.cloid, Rejected(reason, reason.value)))

    @precondition(lambda self: self.open_orders())
    @rule(number=PICK, share=st.sampled_from([D("0.3"), D(1)]))
    def venue_executes(self, number: int, share: Decimal) -> None:
        self.execute(self.pick(self.open_orders(), number), share)

    def execute(self, order: VenueOrder, share: Decimal = D(1)) -> None:
        request, symbol = order.request, order.request.symbol
        size = (order.remaining * share).quantize(D("0.01")) or order.remaining
        before = self.positions[symbol]
        if request.reduce_only:
            size = min(size, abs(before)) if before * request.side.sign < 0 else ZERO
            if size == 0:  # the venue cancels what has nothing left to reduce
                order.remaining = ZERO
                self.take(OrderCanceled(request.cloid, "reduceOnlyCanceled"))
                return
        order.remaining -= size
        after = before + size * request.side.sign
        if order.halted:
            assert abs(after) <= abs(before), "after a halt nothing of ours makes a position larger (I-26)"
        price = request.limit_price if request.trigger is None else request.trigger.price
        self.cash += self.book(symbol, size * request.side.sign, price)
        self.positions[symbol] = after
        self.tid += 1
        oid = self.orders.index(order) + 1
        fill = Fill(
            symbol=symbol,
            side=request.side,
            price=price,
            size=size,
            time_ms=self.rig.now_ms,
            tid=self.tid,
            oid=oid,
            cloid=request.cloid,
            fee=ZERO,
            start_position=before,
        )
        self.take(FillArrived(fill))

    def book(self, symbol: str, signed: Decimal, price: Decimal) -> Decimal:
        """Move a position's cost by an execution; gives what it realised."""
        before, cost = self.positions[symbol], self.cost[symbol]
        if before * signed >= 0:
            self.cost[symbol] = cost + abs(signed) * price
            return ZERO
        closed = min(abs(signed), abs(before))
        entry = cost / abs(before)
        opened = abs(signed) - closed
        self.cost[symbol] = opened * price if opened else entry * (abs(before) - closed)
        return (price - entry) * closed * (1 if before > 0 else -1)

    def end_at_venue(self, cloid: str) -> None:
        """A cancel arrives at once; what it says comes back at once too."""
        for order in self.orders:
            if order.request.cloid == cloid and order.may_fill:
                order.remaining, order.is_answered = ZERO, True
                self.take(OrderCanceled(cloid, "canceled"))

    @precondition(lambda self: self.open_orders())
    @rule(number=PICK)
    def venue_cancels(self, number: int) -> None:
        self.end_at_venue(self.pick(self.open_orders(), number).request.cloid)

    def look(self, cloid: str) -> None:
        """What the venue knows of an order whose answer was lost."""
        for number, order in enumerate(self.orders):
            if order.request.cloid == cloid:
                order.is_answered = True
                self.take(OrderOutcome(cloid, Accepted(number + 1)))
                if not order.may_fill:
                    self.take(OrderCanceled(cloid, "canceled"))
                self.take(OrderLooked(cloid, True, self.rig.now_ms))

    @rule(amount=st.sampled_from([-500, 300, 2_000]).map(D), again=st.booleans())
    def cash_flows(self, amount: Decimal, again: bool) -> None:
        self.words += 0 if again else 1
        self.cash += ZERO if again and self.words else amount
        self.take(CashFlowed(f"flow {self.words}", "deposit", self.rig.now_ms, amount))

    @rule()
    def account_is_looked_at(self) -> None:
        held = tuple((symbol, size) for symbol, size in self.positions.items() if size)
        self.take(AccountSnapshot(self.cash, held, self.rig.now_ms))

    # ── the operator, and the process's end ──────────────────────────────────────────────────

    @rule(verb=st.sampled_from([OperatorVerb.KILL_HARD, OperatorVerb.FLATTEN]))
    def operator_wants_out(self, verb: OperatorVerb) -> None:
        self.operator_speaks(verb, None)
        self.rig.now_ms += 500
        self.take(TimerFired())

    @rule(verb=st.sampled_from(OperatorVerb), symbol=st.sampled_from((None, *SYMBOLS)))
    def operator_speaks(self, verb: OperatorVerb, symbol: str | None) -> None:
        self.words += 1
        named = symbol if verb.acts_on_symbols else None
        self.take(OperatorSpoke(f"r{self.words}", verb, named, "cli", ""))

    @precondition(lambda self: bool(self.rig.engine.guard.bars_entries()))
    @rule()
    def operator_opens(self) -> None:
        for verb in (OperatorVerb.KILL_CLEAR, OperatorVerb.RESUME):
            self.operator_speaks(verb, None)

    @rule()
    def restart(self) -> None:
        before = self.rig.engine.guard.state
        assert before == self.written, "what limits is what is written"
        self.start(self.rig.now_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS)
        after = self.rig.engine.guard.state
        assert tighter(before.latch, after.latch) is after.latch
        assert (after.paused, after.residuals) == (before.paused, before.residuals)
        assert before.peak_equity_usd is None or after.peak_equity_usd is not None

    @precondition(lambda self: self.written.latch is Latch.HALT)
    @rule()
    def venue_works_for_a_minute(self) -> None:
        """I-26: a halt ends flat, or with what is left and why."""
        before = len(self.rig.steps)
        for symbol, price in self.price.items():
            self.rig.quote(price, symbol, at_ms=self.rig.now_ms + 100)
        self.deliver_since(before)
        for _ in range(60):
            self.rig.now_ms += 1_000
            self.take(TimerFired())
            self.venue_takes_all()
        left = {symbol for symbol, size in self.positions.items() if size}
        assert left <= {symbol for symbol, _ in self.written.residuals}
        assert self.written.leaving == ()
        assert self.rig.engine.guard.state.latch is Latch.HALT

    @invariant()
    def what_limits_is_written(self) -> None:
        assert self.rig.engine.guard.state == self.written

    @invariant()
    def the_books_are_the_venues(self) -> None:
        for symbol, size in self.positions.items():
            assert self.rig.engine.portfolio.position(symbol).size == size


RiskMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRisk = RiskMachine.TestCase
