"""Every promise of `Ledger`, asked of the one on disk and the one in memory."""

from __future__ import annotations

import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sim.memory_ledger import MemoryLedger
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from domain.candles import Interval
from domain.facts import (
    AnchorSet,
    BookedBefore,
    ExitStateChanged,
    FillRecorded,
    FundingRecorded,
    IntentRecorded,
    LedgerFact,
    LedgerState,
    OrderChanged,
    PositionChanged,
    TradeClosed,
)
from domain.gating import LastClose
from domain.intents import Action
from domain.orders import OrderStatus, Rejected, RejectReason, with_fill, with_outcome
from domain.positions import Position
from domain.risk import RiskState
from ports.ledger import Ledger, StorageError
from tests.fact_strategies import plausible_facts
from tests.ledger_facts import (
    T0,
    TAG,
    accepted,
    exit_state,
    filled,
    intent,
    order_for,
    recorded,
    story,
    trade,
)


class FixedTag(random.Random):
    """Chance that always makes the same instance tag."""

    def randbytes(self, n: int) -> bytes:
        assert n == len(TAG)
        return TAG


def sqlite_ledger(folder: Path) -> SqliteLedger:
    identity = LedgerIdentity("paper", "local", "0xme")
    return SqliteLedger(folder / "ledger.sqlite", identity, created_ms=T0, chance=FixedTag())


class LedgerContract(ABC):
    @abstractmethod
    def make(self, tmp_path: Path) -> Ledger: ...

    @abstractmethod
    def reopened(self, ledger: Ledger, tmp_path: Path) -> Ledger:
        """The ledger as the next process finds it, as far as there is one."""

    def test_a_new_ledger_knows_nothing_but_its_tag(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        assert ledger.load() == LedgerState(instance_tag=TAG)
        assert ledger.load().unheard_since_ms == 0
        ledger.close()

    def test_what_was_committed_is_there_after_a_restart(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        ledger.commit(story())
        digest = ledger.digest()
        ledger.close()
        ledger = self.reopened(ledger, tmp_path)
        state = ledger.load()
        opening, stop, other = intent(), intent(action=Action.STOP, stop=True), intent("ETH", T0 + 60_000)
        stop_order = accepted(order_for(stop), 78).order
        bought = accepted(order_for(opening)).order
        assert state == LedgerState(
            instance_tag=TAG,
            intent_ids=frozenset((opening.intent_id, stop.intent_id, other.intent_id)),
            trade_ids=frozenset(
                (
                    f"BTC:{T0 + 61_300}:900:77:buy",
                    f"BTC:{T0 + 61_300}:901:77:buy",
                    f"ETH:{T0 + 121_300}:902:77:buy",
                )
            ),
            live_orders=((stop, stop_order), (other, order_for(other))),
            positions=(Position("ETH", Decimal("-0.4"), Decimal("3000"), T0, T0, intent_id=other.intent_id),),
            opening_intents=(other,),
            exit_states=(exit_state("ETH", locked_stop=2999.5),),
            last_closes=(("BTC", LastClose(1, T0 + 700_000, by_signal_flip=True)),),
            last_entry_ms=(("BTC", T0 + 61_000), ("ETH", T0 + 121_000)),
            risk=RiskState(Decimal("10000"), 19_675, Decimal("9999.5"), "daily_loss"),
            anchors=(("BTC", Interval.M1, T0 - 36_000_000),),
            cash_usd=Decimal("10000"),
            realised_usd=Decimal(0),
            fees_usd=Decimal("0.323456789"),
            funding_usd=Decimal("-0.3125"),
            funding_keys=frozenset((("BTC", T0 + 3_600_000),)),
            newest_fill_ms=T0 + 121_300,
            ended_orders=((opening, with_fill(bought, Decimal("0.5"), 77)),),
            recent_fills=tuple(
                BookedBefore(each.fill, each.intent_id, each.via, each.reason)
                for each in story()
                if isinstance(each, FillRecorded)
            ),
            recent_starts=(Position("BTC"), Position("ETH")),
            recent_funding=(("BTC", T0 + 3_600_000, Decimal("-0.3125")),),
            recent_intents=tuple(sorted((opening, other), key=lambda each: each.intent_id)),
            recent_entries=tuple(
                (each.decided_ms, each.key.symbol, each.size * each.limit_price) for each in (opening, other)
            ),
        )
        assert ledger.digest() == digest
        assert state.unheard_since_ms == T0 + 61_000, "the stop lives since then, and may have been filled"
        assert replace(state, live_orders=()).unheard_since_ms == T0 + 121_300
        assert replace(state, newest_fill_ms=0).unheard_since_ms == T0 + 61_000
        ledger.close()

    def test_how_facts_are_grouped_into_commits_leaves_no_trace(self, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "many").mkdir()
        at_once, one_by_one = self.make(tmp_path / "one"), self.make(tmp_path / "many")
        at_once.commit(story())
        for fact in story():
            one_by_one.commit([fact])
        assert at_once.digest() == one_by_one.digest()
        assert at_once.load() == one_by_one.load()
        at_once.close()
        one_by_one.close()

    def test_the_digest_covers_content_and_order(self, tmp_path: Path) -> None:
        btc, eth = recorded(intent("BTC")), recorded(intent("ETH"))
        changed = replace(btc, intent=replace(btc.intent, reason="other"))
        histories: tuple[Sequence[LedgerFact], ...] = ((), (btc,), (changed,), (btc, eth), (eth, btc))
        digests = set()
        for number, history in enumerate(histories):
            (tmp_path / str(number)).mkdir()
            ledger = self.make(tmp_path / str(number))
            ledger.commit(history)
            digests.add(ledger.digest())
            ledger.close()
        assert len(digests) == len(histories)

    def test_an_intent_is_written_once_for_ever(self, tmp_path: Path) -> None:
        first = recorded(intent())
        other_size = replace(first, intent=replace(first.intent, size=Decimal(9)))
        self.refuses_second(tmp_path, first, other_size, first.intent.intent_id)

    def test_a_fill_is_booked_once(self, tmp_path: Path) -> None:
        order = order_for(intent())
        corrected = replace(filled(order), fill=replace(filled(order).fill, price=Decimal(1)))
        self.refuses_second(tmp_path, filled(order), corrected, filled(order).fill.trade_id)

    def test_a_funding_payment_is_booked_once(self, tmp_path: Path) -> None:
        paid = FundingRecorded("BTC", T0, Decimal(1), Decimal("0.1"), Decimal("-0.1"))
        self.refuses_second(tmp_path, paid, replace(paid, amount_usd=Decimal(5)), f"BTC {T0}")

    def test_a_cloid_is_used_once(self, tmp_path: Path) -> None:
        first, other = recorded(intent("BTC")), recorded(intent("ETH"))
        cloid = first.order.request.cloid
        request = replace(other.order.request, cloid=cloid)
        self.refuses_second(tmp_path, first, replace(other, order=replace(other.order, request=request)), cloid)

    def refuses_second(self, tmp_path: Path, first: LedgerFact, second: LedgerFact, named: str) -> None:
        """Refuse `second` beside `first` in one commit and in a later one, name its key, and write nothing of it."""
        ledger = self.make(tmp_path)
        bystander, later = recorded(intent("kPEPE")), recorded(intent("SOL"))
        ledger.commit([recorded(intent())] if not isinstance(first, IntentRecorded) else [])
        empty = ledger.load()
        with pytest.raises(StorageError, match=named):
            ledger.commit([bystander, first, second])
        assert ledger.load() == empty
        ledger.commit([first])
        state, digest = ledger.load(), ledger.digest()
        with pytest.raises(StorageError, match=named):
            ledger.commit([bystander, second])
        assert ledger.load() == state
        assert ledger.digest() == digest
        ledger.commit([bystander, later])
        assert ledger.load().intent_ids == state.intent_ids | {bystander.intent.intent_id, later.intent.intent_id}
        ledger.close()

    def test_a_fact_about_an_unknown_intent_is_refused(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        order = order_for(intent())
        closed = TradeClosed(replace(trade(), intent_id=intent().intent_id), "{}", 1)
        for fact in (filled(order), accepted(order), closed):
            with pytest.raises(StorageError, match=intent().intent_id):
                ledger.commit([fact])
        assert ledger.load() == LedgerState(instance_tag=TAG)
        ledger.close()

    def test_a_change_of_a_new_cloid_is_the_next_attempt(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        first = recorded(intent())
        no_match = Rejected(RejectReason.NO_IMMEDIATE_MATCH, "no match")
        again = replace(order_for(intent(), attempt=2), sent_ms=T0 + 62_000)
        ledger.commit([first, OrderChanged(with_outcome(first.order, no_match), T0 + 61_500)])
        assert ledger.load().live_orders == ()
        ledger.commit([OrderChanged(again, T0 + 62_000)])
        assert ledger.load().live_orders == ((first.intent, again),)
        ledger.commit([accepted(again)])
        assert ledger.load().live_orders == ((first.intent, accepted(again).order),)
        ledger.close()

    def test_an_open_position_comes_with_the_intent_that_opened_it(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        opening, other = intent("BTC"), intent("ETH")
        held = Position("BTC", size=Decimal("0.5"), entry_price=Decimal(100), intent_id=opening.intent_id)
        ledger.commit([recorded(opening), recorded(other), PositionChanged(held)])
        assert ledger.load().opening_intents == (opening,)
        ledger.commit([PositionChanged(Position("BTC"))])
        assert ledger.load().opening_intents == ()
        ledger.close()

    @pytest.mark.parametrize("status", list(OrderStatus))
    def test_an_order_is_live_until_it_is_proven_ended(self, tmp_path: Path, status: OrderStatus) -> None:
        ledger = self.make(tmp_path)
        ended = replace(order_for(intent()), status=status)
        ledger.commit([recorded(intent()), OrderChanged(ended, T0)])
        assert [order for _, order in ledger.load().live_orders] == ([] if status.is_terminal else [ended])
        ledger.close()

    def test_the_newest_state_counts_within_one_commit(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        first, second = exit_state(locked_stop=1.0), exit_state(locked_stop=2.0)
        grown = Position("BTC", Decimal(2), Decimal(10), 1, 1)
        ledger.commit(
            [
                ExitStateChanged("BTC", first),
                ExitStateChanged("BTC", None),
                ExitStateChanged("BTC", second),
                ExitStateChanged("ETH", exit_state("ETH")),
                ExitStateChanged("ETH", None),
                PositionChanged(Position("BTC")),
                PositionChanged(grown),
                AnchorSet("BTC", Interval.M1, 60_000),
                AnchorSet("BTC", Interval.M1, 120_000),
                AnchorSet("BTC", Interval.H1, 0),
            ]
        )
        state = ledger.load()
        assert state.exit_states == (second,)
        assert state.positions == (grown,)
        assert state.anchors == (("BTC", Interval.H1, 0), ("BTC", Interval.M1, 120_000))
        ledger.close()

    def test_only_entries_count_as_last_entry(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        for number, action in enumerate((Action.OPEN, Action.ADD, Action.REDUCE, Action.CLOSE, Action.TAKE_PROFIT)):
            ledger.commit([recorded(intent("BTC", T0 + number * 60_000, action))])
        assert ledger.load().last_entry_ms == (("BTC", T0 + 60_000 + 61_000),)
        ledger.close()

    def test_totals_are_exact_however_small_their_parts(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        order = order_for(intent())
        ledger.commit([recorded(intent())])
        for tid, fee in enumerate(("1234567890123456789", "0.0000000000000000001", "-1234567890123456789")):
            ledger.commit([filled(order, tid=tid, fee=fee)])
        assert ledger.load().fees_usd == Decimal("0.0000000000000000001")
        ledger.close()

    def test_no_facts_are_no_commit(self, tmp_path: Path) -> None:
        ledger = self.make(tmp_path)
        digest = ledger.digest()
        ledger.commit([])
        assert ledger.digest() == digest
        assert ledger.load() == LedgerState(instance_tag=TAG)
        ledger.close()


class TestSqliteLedger(LedgerContract):
    def make(self, tmp_path: Path) -> Ledger:
        return sqlite_ledger(tmp_path)

    def reopened(self, ledger: Ledger, tmp_path: Path) -> Ledger:
        return sqlite_ledger(tmp_path)


class TestMemoryLedger(LedgerContract):
    def make(self, tmp_path: Path) -> Ledger:
        return MemoryLedger(TAG)

    def reopened(self, ledger: Ledger, tmp_path: Path) -> Ledger:
        return ledger


def try_commit(ledger: Ledger, facts: Sequence[LedgerFact]) -> bool:
    try:
        ledger.commit(facts)
    except StorageError:
        return False
    return True


@functools.cache
def empty_ledger_file() -> bytes:
    """A new ledger's file, so that not every example waits for the migrations."""
    with TemporaryDirectory() as folder:
        sqlite_ledger(Path(folder)).close()
        return (Path(folder) / "ledger.sqlite").read_bytes()


def _rank(fact: LedgerFact) -> int:
    if isinstance(fact, IntentRecorded):
        return 0
    return 1 if isinstance(fact, OrderChanged | FillRecorded) else 2


@settings(max_examples=50)  # each opens a file twice and waits for the disk
@given(st.lists(st.lists(plausible_facts(), min_size=1, max_size=6), max_size=8))
def test_both_ledgers_take_and_refuse_the_same_and_remember_the_same(commits: list[list[LedgerFact]]) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "ledger.sqlite").write_bytes(empty_ledger_file())
        on_disk, in_memory = sqlite_ledger(Path(folder)), MemoryLedger(TAG)
        for facts in commits:
            facts.sort(key=_rank)  # what names another fact follows it
            assert try_commit(on_disk, facts) == try_commit(in_memory, facts)
        assert on_disk.load() == in_memory.load()
        assert on_disk.digest() == in_memory.digest()
        assert on_disk.verify() is None
        on_disk.close()
        again = sqlite_ledger(Path(folder))
        assert again.load() == in_memory.load()
        again.close()
