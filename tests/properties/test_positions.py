"""Position accounting from any sequence of fills, against an average-cost oracle in exact fractions."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from application.portfolio import Portfolio
from domain.facts import LedgerState
from domain.fills import Fill, split_flip
from domain.intents import Side
from domain.positions import Position, Trade
from tests.builders import T0, TAG, book_fill, book_funding, make_fill

START_CASH = Decimal("10000.123456")
MARK = Decimal("101.37")
CRUMB = Fraction(1, 10**10)
"""Averages are rounded to 28 figures and realised amounts to 12 decimals; nothing may be off by more than this."""


@dataclass
class Book:
    """What really happened, kept in fractions: nothing is ever rounded here."""

    size: Fraction = Fraction(0)
    average: Fraction = Fraction(0)
    realised: Fraction = Fraction(0)
    cash: Fraction = field(default_factory=lambda: Fraction(START_CASH))
    trips: list[Fraction] = field(default_factory=list)
    """What each round trip earned before fees."""
    trip: Fraction = Fraction(0)

    def take(self, fill: Fill) -> None:
        price, change = Fraction(fill.price), Fraction(fill.signed_size)
        closing = min(abs(self.size), abs(change)) if self.size * change < 0 else Fraction(0)
        if closing:
            earned = (price - self.average) * closing * (1 if self.size > 0 else -1)
            self.realised += earned
            self.cash += earned
            self.trip += earned
        self.cash -= Fraction(fill.fee)
        opening = abs(change) - closing
        after = self.size + change
        if closing and closing == abs(self.size):
            self.trips.append(self.trip)
            self.trip = Fraction(0)
            self.average = Fraction(0)
        if opening:
            held = abs(after) - opening
            self.average = (self.average * held + price * opening) / abs(after)
        self.size = after


PRICES = st.sampled_from(["99", "100", "100.01", "101.37", "87.5", "0.98765", "33.333"]).map(Decimal)
SIZES = st.one_of(
    st.sampled_from(["1", "2", "3", "0.5"]).map(Decimal), st.integers(1, 10**6).map(lambda n: Decimal(n).scaleb(-3))
)
FEES = st.integers(-(10**6), 10**10).map(lambda n: Decimal(n).scaleb(-6))


@st.composite
def fill_sequences(draw: st.DrawFn) -> list[Fill]:
    sides = st.sampled_from(Side)
    count = draw(st.integers(0, 15))
    return [
        make_fill(draw(sides), draw(SIZES), draw(PRICES), tid=tid, time_ms=T0 + tid, fee=draw(FEES))
        for tid in range(count)
    ]


@dataclass
class Outcome:
    portfolio: Portfolio
    trades: list[Trade]
    book: Book
    realised: list[Decimal]

    @property
    def position(self) -> Position:
        return self.portfolio.position("BTC")


def booked(fills: list[Fill], fundings: list[Decimal] | None = None) -> Outcome:
    portfolio, trades, book, realised = Portfolio(), [], Book(), []
    portfolio.restore(LedgerState(TAG, cash_usd=START_CASH))
    for number, fill in enumerate(fills):
        step = book_fill(portfolio, fill, f"intent-{number}", "")
        book.take(fill)
        realised.append(step.realised)
        if step.closed_trade is not None:
            trades.append(step.closed_trade)
        if fundings:
            book_funding(portfolio, "BTC", fundings[number % len(fundings)])
    return Outcome(portfolio, trades, book, realised)


def exact(amounts: list[Decimal]) -> Fraction:
    return sum((Fraction(amount) for amount in amounts), Fraction(0))


THIRDS = [
    make_fill(side, "1", price, tid=tid, fee="0.1")
    for tid, (side, price) in enumerate(
        [(Side.BUY, "100"), (Side.BUY, "100"), (Side.BUY, "101"), (Side.SELL, "100"), (Side.SELL, "100")]
    )
]


@given(fill_sequences())
@example(THIRDS)
def test_size_average_and_pnl_are_those_of_the_oracle(fills: list[Fill]) -> None:
    outcome = booked(fills)
    book, position = outcome.book, outcome.position
    assert Fraction(position.size) == book.size
    assert abs(Fraction(position.entry_price) - book.average) < CRUMB
    assert abs(Fraction(outcome.portfolio.realised_usd) - book.realised) < CRUMB
    assert abs(Fraction(position.unrealised(MARK)) - (Fraction(MARK) - book.average) * book.size) < CRUMB


@given(fill_sequences(), st.lists(FEES, max_size=4))
@example(THIRDS, [])
def test_cash_changes_by_exactly_realised_less_fees_plus_funding(fills: list[Fill], fundings: list[Decimal]) -> None:
    outcome = booked(fills, fundings)
    portfolio = outcome.portfolio
    assert portfolio.cash_usd is not None
    change = Fraction(portfolio.cash_usd) - Fraction(START_CASH)
    assert change == exact([portfolio.realised_usd, -portfolio.fees_usd, portfolio.funding_usd])
    assert Fraction(portfolio.fees_usd) == exact([fill.fee for fill in fills])
    assert Fraction(portfolio.realised_usd) == exact(outcome.realised)


@given(fill_sequences(), st.lists(FEES, max_size=4))
@example(THIRDS, [])
def test_trades_and_the_open_trip_add_up_to_exactly_what_was_booked(fills: list[Fill], fundings: list[Decimal]) -> None:
    outcome = booked(fills, fundings)
    trades, position, portfolio = outcome.trades, outcome.position, outcome.portfolio
    assert exact([*(trade.pnl for trade in trades), position.realised]) == Fraction(portfolio.realised_usd)
    assert exact([*(trade.fees for trade in trades), position.fees]) == Fraction(portfolio.fees_usd)


@given(fill_sequences())
@example(THIRDS)
def test_a_closed_trade_earned_exactly_what_its_fills_paid_and_received(fills: list[Fill]) -> None:
    outcome = booked(fills)
    assert [Fraction(trade.pnl) for trade in outcome.trades] == outcome.book.trips
    for trade in outcome.trades:
        assert trade.opened_ms <= trade.closed_ms and trade.size > 0
        by_prices = (trade.exit_price - trade.entry_price) * trade.side.sign
        assert by_prices == 0 or trade.pnl == 0 or (by_prices > 0) == (trade.pnl > 0)


@given(fill_sequences())
def test_in_the_end_equity_is_what_was_paid_and_received(fills: list[Fill]) -> None:
    """Without any average: start, less all that was bought, plus all that was sold, less fees, plus what is held."""
    portfolio = booked(fills).portfolio
    paid = sum((Fraction(fill.signed_size) * Fraction(fill.price) + Fraction(fill.fee) for fill in fills), Fraction(0))
    held = sum((Fraction(fill.signed_size) for fill in fills), Fraction(0)) * Fraction(MARK)
    equity = portfolio.equity_usd(lambda _: MARK)
    assert equity is not None
    assert abs(Fraction(equity) - (Fraction(START_CASH) - paid + held)) < CRUMB


@given(fill_sequences())
def test_the_fills_of_both_sides_mirror_each_other(fills: list[Fill]) -> None:
    """What was bought is sold and the other way round: the same position and PnL with the other sign."""
    mirrored = [
        make_fill(fill.side.opposite, fill.size, fill.price, tid=fill.tid, time_ms=fill.time_ms, fee=fill.fee)
        for fill in fills
    ]
    one, other = booked(fills), booked(mirrored)
    assert other.position.size == -one.position.size
    assert other.position.entry_price == one.position.entry_price
    assert other.realised == [-amount for amount in one.realised]
    assert [trade.side for trade in other.trades] == [trade.side.opposite for trade in one.trades]


@given(fill_sequences(), st.integers(0, 15))
def test_a_restart_between_two_fills_changes_nothing(fills: list[Fill], cut: int) -> None:
    whole, before = booked(fills), booked(fills[:cut])
    after = Portfolio()
    after.restore(
        LedgerState(
            TAG,
            positions=(before.position,),
            cash_usd=before.portfolio.cash_usd,
            realised_usd=before.portfolio.realised_usd,
            fees_usd=before.portfolio.fees_usd,
        )
    )
    for number, fill in enumerate(fills[cut:], start=cut):
        book_fill(after, fill, f"intent-{number}", "")
    assert after.positions == whole.portfolio.positions
    assert (after.cash_usd, after.realised_usd) == (whole.portfolio.cash_usd, whole.portfolio.realised_usd)


@given(st.sampled_from(Side), SIZES, PRICES, FEES, st.one_of(st.just(Decimal(0)), SIZES, SIZES.map(lambda size: -size)))
def test_a_fill_is_cut_where_it_turns_a_position_and_nothing_is_lost(
    side: Side, size: Decimal, price: Decimal, fee: Decimal, position: Decimal
) -> None:
    fill = make_fill(side, size, price, fee=fee)
    parts = split_flip(fill, position)
    assert exact([part.size for part in parts]) == Fraction(size)
    assert exact([part.fee for part in parts]) == Fraction(fee)
    assert all(part.size > 0 for part in parts)
    assert {part.trade_id for part in parts} == {fill.trade_id}
    turns = position * (position + fill.signed_size) < 0
    assert len(parts) == (2 if turns else 1)
    if turns:
        closing, opening = parts
        assert position + closing.signed_size == 0
        assert (closing.start_position, opening.start_position) == (position, Decimal(0))
        assert abs(Fraction(closing.fee) - Fraction(fee) * Fraction(closing.size) / Fraction(size)) <= Fraction(
            1, 10**6
        )
