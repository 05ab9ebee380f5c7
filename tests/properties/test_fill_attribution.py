"""Fills in any order, any number of times, with or without names: the books end the same, and equal to the venue's.

A small venue with its own arithmetic makes the truth: orders of ours that fill in parts, trades by hand, a liquidation,
a bot of somebody else, several executions in one millisecond. What it tells is shuffled and repeated; acknowledgements
may be lost; restarts come between. Whose a fill is may be asked by its oid. Everything is compared with the venue.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.memory_ledger import MemoryLedger
from application import fill_desk, symbol_book
from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.step import Step
from domain import fills as domain_fills
from domain.candles import Interval
from domain.effects import NameOrder
from domain.events import Event, FillArrived, FundingPaid, OrderNamed, OrderOutcome
from domain.facts import (
    FillRecorded,
    FillRevised,
    GapClosed,
    GapOpened,
    LedgerFact,
    OrderChanged,
    TradeClosed,
    TradeWithdrawn,
)
from domain.fills import Fill, FillCause, FillMatch, MatchedVia, OpenAttempt, is_stronger
from domain.intents import Action, OrderIntent, Side, cloid_of
from domain.orders import Accepted, Unknown
from tests.builders import T0, TAG, make_wish
from tests.planting import planted

SYMBOLS = ("BTC", "ETH")
OTHER_BOT = "0x50663504b0f4fedea00080176229d94f"
ZERO = Decimal(0)


@dataclass
class VenueOrder:
    symbol: str
    side: Side
    size: Decimal
    oid: int
    cloid: str | None
    names_itself: bool = True
    """Whether its fills carry the cloid; where they do not, its oid still leads to it."""
    is_acknowledged: bool = True


@dataclass
class Truth:
    """What the venue did, with its own sums."""

    orders: dict[int, VenueOrder] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SYMBOLS, ZERO))
    filled: Counter[str] = field(default_factory=Counter)
    payments: list[FundingPaid] = field(default_factory=list)
    now_ms: int = T0 + 1_000

    def execute(self, order: VenueOrder, size: Decimal, price: int, cause: FillCause = FillCause.ORDER) -> None:
        before = self.positions[order.symbol]
        cloid = order.cloid if order.names_itself else None
        tid = len(self.fills) + 1
        fee = Decimal("0.000123") * tid
        fill = Fill(
            symbol=order.symbol,
            side=order.side,
            price=Decimal(price),
            size=size,
            time_ms=self.now_ms,
            tid=tid,
            oid=order.oid,
            cloid=cloid,
            fee=fee,
            start_position=before,
            hash="0x" + "0" * 64,
            cause=cause,
        )
        self.fills.append(fill)
        self.positions[order.symbol] = before + size * order.side.sign
        if order.cloid is not None and order.cloid != OTHER_BOT:
            self.filled[order.cloid] += size  # type: ignore[assignment]


def happen(chance: random.Random, intents: Sequence[OrderIntent]) -> Truth:
    """A few minutes of a venue on which these intents were sent."""
    truth = Truth()
    for place, intent in enumerate(intents):
        key, oid = intent.key, 100 + place
        names, acknowledged = chance.random() < 0.6, chance.random() < 0.7
        own = cloid_of(intent.intent_id, 1, TAG)
        truth.orders[oid] = VenueOrder(key.symbol, intent.side, intent.size, oid, own, names, acknowledged)
    left = {oid: order.size for oid, order in truth.orders.items()}
    for number in range(chance.randint(3, 14)):
        truth.now_ms += chance.choice((0, 0, 1, 700, 40_000))
        price = chance.choice((99, 100, 101))
        what = chance.random()
        mine = [oid for oid, size in left.items() if size > 0]
        if what < 0.6 and mine:
            oid = chance.choice(mine)
            size = min(left[oid], chance.choice((Decimal("0.5"), Decimal(1), Decimal(3))))
            left[oid] -= size
            truth.execute(truth.orders[oid], size, price)
        elif what < 0.65:
            payment = (chance.choice(SYMBOLS), T0 + 3_600_000 + number, Decimal(1), Decimal("0.0001"))
            truth.payments.append(FundingPaid(*payment, Decimal(chance.randint(-9, 9))))
        else:
            symbol, side = chance.choice(SYMBOLS), chance.choice(list(Side))
            cloid = OTHER_BOT if chance.random() < 0.3 else None
            cause = FillCause.LIQUIDATION if cloid is None and chance.random() < 0.15 else FillCause.ORDER
            order = VenueOrder(symbol, side, Decimal(5), 500 + number, cloid)
            truth.orders[order.oid] = order
            truth.execute(order, chance.choice((Decimal("0.5"), Decimal(1), Decimal(2))), price, cause)
    return truth


class Books:
    """The OMS on a ledger in memory, told what happened."""

    def __init__(self, chance: random.Random) -> None:
        self.ledger = MemoryLedger(TAG)
        self.seq = 0
        self.names: list[NameOrder] = []
        self.start()
        self.intents = [self.place(chance, place) for place in range(chance.randint(1, 5))]

    def start(self) -> None:
        state = self.ledger.load()
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei", Interval.M1, self.portfolio)
        self.portfolio.restore(state)
        self.oms.restore(state)
        assert {symbol: each.size for symbol, each in self.portfolio.positions.items()} == {
            each.symbol: each.size for each in state.positions
        }

    def place(self, chance: random.Random, place: int) -> OrderIntent:
        action = chance.choice((Action.OPEN, Action.ADD, Action.CLOSE))
        wish = make_wish(
            action,
            chance.choice(SYMBOLS),
            side=chance.choice(list(Side)),
            size=chance.choice((Decimal(1), Decimal(2), Decimal(4))),
            open_ms=T0 + place * 60_000,
        )
        placed: list[OrderIntent | None] = []
        self.step(lambda step: placed.append(self.oms.place(step, wish)))
        assert placed[0] is not None
        return placed[0]

    def step(self, act: Callable[[Step], Any]) -> Step:
        self.seq += 1
        step = Step(self.seq, T0 + self.seq)
        act(step)
        self.ledger.commit([fact for fact in step.facts if isinstance(fact, LedgerFact)])
        self.names += (effect for effect in step.effects if isinstance(effect, NameOrder))
        return step

    def hear(self, event: Event) -> Step:
        match event:
            case FillArrived():
                return self.step(lambda step: self.oms.on_fill(step, event))
            case FundingPaid():
                return self.step(lambda step: self.oms.on_funding(step, event))
            case OrderNamed():
                return self.step(lambda step: self.oms.on_named(step, event))
            case _:
                assert isinstance(event, OrderOutcome)
                return self.step(lambda step: self.oms.on_outcome(step, event))

    # ── what the ledger says ─────────────────────────────────────────────────────────────────

    def owners(self) -> dict[str, tuple[str | None, MatchedVia, str, Decimal]]:
        """By trade id: intent, evidence, reason, realised; as the facts have it now. Evidence never gets weaker."""
        found: dict[str, tuple[str | None, MatchedVia, str, Decimal]] = {}
        for fact in self.ledger.facts:
            if isinstance(fact, FillRecorded):
                assert fact.fill.trade_id not in found, "I-10: twice"
                found[fact.fill.trade_id] = (fact.intent_id, fact.via, fact.reason, fact.realised)
            elif isinstance(fact, FillRevised):
                before = found[fact.trade_id]
                loses_time = before[1] is MatchedVia.TIME and fact.via is MatchedVia.EXTERNAL
                assert not is_stronger(before[1], fact.via) or loses_time, "I-13: weaker evidence"
                found[fact.trade_id] = (fact.intent_id, fact.via, fact.reason, fact.realised)
        return found

    def trades(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for fact in self.ledger.facts:
            if isinstance(fact, TradeWithdrawn):
                del found[fact.closing_trade_id]
            elif isinstance(fact, TradeClosed):
                assert fact.closing_trade_id not in found
                found[fact.closing_trade_id] = fact.trade
        return found

    def gaps(self) -> set[str]:
        opened: set[str] = set()
        for fact in self.ledger.facts:
            if isinstance(fact, GapOpened):
                opened.add(fact.before_trade_id)
            elif isinstance(fact, GapClosed):
                opened.discard(fact.before_trade_id)
        return opened

    def filled(self) -> dict[str, Decimal]:
        newest = {}
        for fact in self.ledger.facts:
            if isinstance(fact, OrderChanged):
                newest[fact.order.request.cloid] = fact.order.filled
        return {cloid: size for cloid, size in newest.items() if size}

    def digest(self) -> dict[str, object]:
        positions = dict(self.portfolio.positions)
        totals = (self.portfolio.realised_usd, self.portfolio.fees_usd, self.portfolio.funding_usd)
        return {
            "owners": self.owners(),
            "trades": self.trades(),
            "gaps": self.gaps(),
            "filled": self.filled(),
            "positions": positions,
            "totals": totals,
        }


def messages(truth: Truth) -> list[Event]:
    told: list[Event] = [FillArrived(fill) for fill in truth.fills]
    told += truth.payments
    for order in truth.orders.values():
        if order.oid < 500:
            outcome = Accepted(order.oid) if order.is_acknowledged else Unknown("no answer")
            assert order.cloid is not None
            told.append(OrderOutcome(order.cloid, outcome))
    return told


def told(seed: int, shuffle: random.Random | None) -> tuple[Books, Truth]:
    """A world and its truth; in order of happening, or shuffled, repeated and with restarts."""
    chance = random.Random(seed)
    books = Books(chance)
    truth = happen(chance, books.intents)
    wanted = messages(truth)
    if shuffle is not None:
        wanted += [each for each in wanted if shuffle.random() < 0.3]
        shuffle.shuffle(wanted)
    for event in wanted:
        books.hear(event)
        if shuffle is not None:
            if books.names and shuffle.random() < 0.3:
                name_one(books, truth, shuffle.randrange(len(books.names)))
            if shuffle.random() < 0.1:
                books.start()
                books.names += [NameOrder(fill.symbol, fill.oid) for fill in truth.fills]
    while books.names:
        name_one(books, truth, 0)
    return books, truth


def name_one(books: Books, truth: Truth, place: int) -> None:
    asked = books.names.pop(place)
    order = truth.orders[asked.oid]
    books.hear(OrderNamed(asked.symbol, asked.oid, order.cloid, is_trigger=False))


def check(books: Books, truth: Truth) -> None:
    owners = books.owners()
    assert set(owners) == {fill.trade_id for fill in truth.fills}, "I-10"
    assert books.gaps() == set(), "I-12: every fill came"
    for symbol in SYMBOLS:
        assert books.portfolio.position(symbol).size == truth.positions[symbol], "I-11"
    by_cloid = {cloid_of(intent.intent_id, 1, TAG): intent for intent in books.intents}
    for fill in truth.fills:
        order = truth.orders[fill.oid]
        mine = by_cloid.get(order.cloid or "")
        wanted = mine.intent_id if mine is not None else None
        assert owners[fill.trade_id][0] == wanted, f"I-13: {fill.trade_id}"
        assert (owners[fill.trade_id][1] is MatchedVia.EXTERNAL) == (wanted is None)
    for intent in books.intents:
        mine_filled = sum((fill.size for fill in truth.fills if owners[fill.trade_id][0] == intent.intent_id), ZERO)
        assert mine_filled <= intent.size, "I-13: more than it asked for"
    assert books.filled() == dict(truth.filled), "the orders have what was laid to them"
    assert books.portfolio.fees_usd == sum((fill.fee for fill in truth.fills), ZERO)
    assert books.portfolio.realised_usd == sum((each[3] for each in owners.values()), ZERO)
    for position in books.portfolio.positions.values():
        assert position.opened_size - position.closed_size == abs(position.size), "a position is one trip's"
    closed = sum((trade.pnl for trade in books.trades().values()), ZERO)  # type: ignore[attr-defined]
    held = sum((each.realised for each in books.portfolio.positions.values()), ZERO)
    assert closed + held == books.portfolio.realised_usd, "what was realised stands in trades and open positions"


def live_through(seed: int, shuffle: random.Random) -> None:
    straight, truth = told(seed, None)
    check(straight, truth)
    mixed, _ = told(seed, shuffle)
    check(mixed, truth)
    assert mixed.digest() == straight.digest(), "I-17: the order in which things are told leaves no trace"


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_order_of_telling_leaves_no_trace(seed: int, shuffle: int) -> None:
    live_through(seed, random.Random(shuffle))


def test_hundreds_of_worlds_end_in_the_truth() -> None:
    for seed in range(300):
        live_through(seed, random.Random(-seed - 1))


@pytest.mark.parametrize("missing", range(3))
def test_a_fill_that_never_came_is_one_gap_at_its_place(missing: int) -> None:
    """The position is the venue's all the same, from the next fill on."""
    seen = 0
    for seed in range(60):
        chance = random.Random(seed)
        books = Books(chance)
        truth = happen(chance, books.intents)
        btc = [fill for fill in truth.fills if fill.symbol == "BTC"]
        if len(btc) < missing + 2 or len({fill.time_ms for fill in btc}) < len(btc):
            continue
        for fill in btc:
            if fill is not btc[missing]:
                books.hear(FillArrived(fill))
        assert books.gaps() == {btc[missing + 1].trade_id}
        assert books.portfolio.position("BTC").size == truth.positions["BTC"]
        books.hear(FillArrived(btc[missing]))
        assert books.gaps() == set()
        seen += 1
    assert seen > 5


# ── the same with bugs ───────────────────────────────────────────────────────────────────────


def _by_hash(fill: Fill, attempts: Any) -> FillMatch:
    """Whoever had a fill of this hash has this one too, as the earlier engine thought: here all hashes are zero."""
    for attempt in attempts:
        if attempt.side is fill.side:
            return FillMatch(attempt.intent_id, attempt.cloid, MatchedVia.OID)
    return domain_fills.EXTERNAL


def _first_that_fits(fill: Fill, attempts: Any) -> FillMatch:
    candidates = [each for each in attempts if each.side is fill.side]
    right = domain_fills.match_fill(fill, candidates)
    if right.via is not MatchedVia.EXTERNAL or not candidates or fill.cause is not FillCause.ORDER:
        return right
    return FillMatch(candidates[0].intent_id, candidates[0].cloid, MatchedVia.CLOID)


def _always_next(position: Any, newest: Any, fill: Fill, beside: Any = None) -> bool:
    return True


def _keep(self: Any, step: Step, owned: Any) -> None:
    """The order that had a fill by mistake keeps it."""


BUGS: dict[str, tuple[Any, str, Any]] = {
    "matching by hash": (fill_desk, "match_fill", _by_hash),
    "time matches the first that fits, for good": (fill_desk, "match_fill", _first_that_fits),
    "fills are booked as they come": (symbol_book, "is_next", _always_next),
    "weaker evidence replaces stronger": (fill_desk, "is_stronger", lambda new, old: True),
    "nothing is ever revised": (fill_desk, "is_stronger", lambda new, old: False),
    "what was laid wrongly stays counted": (fill_desk.FillDesk, "_take_back", _keep),
    "an acknowledgement does not lead to its fills": (fill_desk.FillDesk, "on_oid", lambda self, step, live: None),
    "nobody is asked whose a fill is": (fill_desk.FillDesk, "_ask_whose", lambda self, step, fill, match: None),
    "a flip is not split": (symbol_book, "apply_fill", None),
}


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_caught_within_500_seeds(bug: str) -> None:
    owner, name, wrong = BUGS[bug]
    if wrong is None:
        from domain import positions

        owner, name, wrong = positions, "split_flip", lambda fill, position: (fill,)
    with planted(owner, name, wrong), pytest.raises((AssertionError, ArithmeticError, ValueError)):
        live_through_many()


def live_through_many() -> None:
    for seed in range(500):
        live_through(seed, random.Random(-seed - 1))


def test_time_decides_only_where_exactly_one_order_fits() -> None:
    """The rule itself has its own test; here that what it says reaches the books as something to be asked about."""
    chance = random.Random(1)
    books = Books(chance)
    intent = books.intents[0]
    fill = Fill(
        intent.key.symbol, intent.side, Decimal(100), Decimal("0.5"), T0 + 5, 1, 77, None, ZERO, ZERO, hash="0x0"
    )
    step = books.hear(FillArrived(fill))
    (recorded,) = (fact for fact in step.facts if isinstance(fact, FillRecorded))
    fitting = [
        each
        for each in books.intents
        if (each.key.symbol, each.side) == (fill.symbol, fill.side) and each.size >= fill.size
    ]
    assert (recorded.via is MatchedVia.TIME) == (len(fitting) == 1)
    assert [effect for effect in step.effects if isinstance(effect, NameOrder)] == [NameOrder(fill.symbol, 77)]
    assert OpenAttempt.__name__  # what the rule looks at
