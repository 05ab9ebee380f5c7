"""Whatever the desks are told, in whatever order, the ledger that they leave is sound; and so is every regrouping."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite.ledger_check import Checked, check_ledger
from domain.events import FillArrived, FundingPaid, OrderCanceled, OrderNamed, OrderOutcome
from domain.facts import BORN, CursorMoved, LedgerFact
from domain.fills import Fill
from domain.intents import Action, OrderIntent, Side
from domain.orders import Accepted, Unknown
from ports.ledger import StorageError
from tests.fact_strategies import plausible_facts
from tests.ledger_facts import T0
from tests.sound_ledger import Desk
from tests.sqlite_files import opened

SYMBOLS = ("BTC", "ETH")
LATE_MS = 4_000_000


def checked_in_groups(facts: Sequence[LedgerFact], sizes: Sequence[int]) -> Checked:
    """The ledger of these facts, committed in groups of `sizes` in turn."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with opened(path) as ledger:
            start = number = 0
            while start < len(facts):
                end = start + sizes[number % len(sizes)]
                ledger.commit(facts[start:end])
                start, number = end, number + 1
        return check_ledger(path)


@settings(max_examples=60)
@given(st.lists(plausible_facts(), min_size=5, max_size=60))
def test_any_grouping_gives_the_same_tables(facts: list[LedgerFact]) -> None:
    """Made-up facts add up to nothing, and some are refused; but the tables follow from the others all the same."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with opened(path) as ledger:
            for fact in facts:
                with suppress(StorageError):
                    ledger.commit([fact])
        problems = check_ledger(path).problems
    wrong = ("facts say", "in no fact", "is missing", "booked anew", "chain:")
    assert [text for text in problems if any(word in text for word in wrong)] == []


@pytest.mark.seeds(20)
def test_what_the_desks_leave_is_sound(seed: int) -> None:
    chance = random.Random(seed)
    facts = Week(chance).facts(chance.randint(5, 60))
    assert checked_in_groups(facts, [chance.randint(1, 9) for _ in range(7)]).problems == []


class Week:
    """Orders and strangers' trades at random; fills are told late, out of order, without their cloid, or never."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._desk = Desk()
        self._desk.add(CursorMoved(BORN, T0))
        self._orders: list[tuple[OrderIntent, str, int]] = []
        self._left: dict[str, Decimal] = {}
        self._held: dict[str, Decimal] = {}
        self._untold: list[Fill] = []

    def facts(self, events: int) -> list[LedgerFact]:
        for _ in range(events):
            self._desk.at_ms += self._chance.choice((0, 1_000, 60_000, LATE_MS if self._chance.random() < 0.1 else 0))
            self._chance.choice((self._order, self._order, self._fill, self._fill, self._fill, self._news))()
            self._chance.shuffle(self._untold)
            while self._untold and self._chance.random() < 0.6:
                self._tell(self._untold.pop())
        for fill in self._untold:
            self._tell(fill)
        return self._desk.facts

    def _order(self) -> None:
        self._desk.at_ms += 60_000  # a candle of its own: an OPEN exists once
        side, action = self._chance.choice(list(Side)), self._chance.choice((Action.OPEN, Action.CLOSE, Action.REDUCE))
        intent = self._desk.place(self._chance.choice(SYMBOLS), side, str(self._chance.randint(1, 4)), action)
        cloid, self._desk.oid = self._desk.cloid_of(intent), self._desk.oid + 1
        self._orders.append((intent, cloid, self._desk.oid))
        self._left[cloid] = intent.size
        if self._chance.random() < 0.7:
            outcome = Accepted(self._desk.oid) if self._chance.random() < 0.8 else Unknown("no answer")
            step = self._desk.step()
            self._desk.oms.on_outcome(step, OrderOutcome(cloid, outcome))
            self._desk.keep(step)

    def _fill(self) -> None:
        alive = [order for order in self._orders if self._left[order[1]] > 0]
        symbol, side, size = self._chance.choice(SYMBOLS), self._chance.choice(list(Side)), Decimal(2)
        cloid, oid = None, 9_000 + self._desk.tid
        if alive and self._chance.random() < 0.8:
            intent, cloid, oid = self._chance.choice(alive)
            symbol, side = intent.key.symbol, intent.side
            size = min(self._left[cloid], Decimal(self._chance.randint(1, 3)))
            self._left[cloid] -= size
        held = self._held.get(symbol, Decimal(0))
        self._desk.tid += 1
        fill = Fill(
            symbol=symbol,
            side=side,
            price=Decimal(100 + self._chance.randint(-9, 9)),
            size=size,
            time_ms=self._desk.at_ms + self._chance.choice((0, 0, 1, 5)),
            tid=self._desk.tid,
            oid=oid,
            cloid=cloid if self._chance.random() < 0.8 else None,
            fee=Decimal("0.05"),
            start_position=held,
        )
        self._held[symbol] = held + fill.signed_size
        self._desk.at_ms = fill.time_ms
        if self._chance.random() < 0.95:
            self._untold.append(fill)

    def _news(self) -> None:
        step = self._desk.step()
        if not self._orders or self._chance.random() < 0.3:
            paid = FundingPaid("BTC", self._desk.at_ms, Decimal(1), Decimal("0.0001"), Decimal("-0.03"))
            self._desk.oms.on_funding(step, paid)
        else:
            intent, cloid, oid = self._chance.choice(self._orders)
            if self._chance.random() < 0.5:
                self._desk.oms.on_canceled(step, OrderCanceled(cloid, "canceled"))
            else:
                named = cloid if self._chance.random() < 0.6 else None
                self._desk.oms.on_named(step, OrderNamed(intent.key.symbol, oid, named, is_trigger=False))
        self._desk.keep(step)

    def _tell(self, fill: Fill) -> None:
        step = self._desk.step()
        self._desk.oms.on_fill(step, FillArrived(fill))
        self._desk.keep(step)
