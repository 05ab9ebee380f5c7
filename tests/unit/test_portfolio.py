"""Portfolio: cash, positions and equity as our own books have them."""

from decimal import Decimal

from application.portfolio import Portfolio
from domain.facts import LedgerState
from domain.intents import Side
from domain.positions import Position
from tests.builders import TAG, book_fill, book_funding, make_fill

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
MARKS = {"BTC": D(120), "ETH": D(40)}


def funded(cash: str = "1000") -> Portfolio:
    portfolio = Portfolio()
    portfolio.restore(LedgerState(TAG, cash_usd=D(cash)))
    return portfolio


def test_cash_moves_by_what_is_realised_less_fees_plus_funding() -> None:
    portfolio = funded()
    book_fill(portfolio, make_fill(BUY, "2", "100", fee="0.1"), None, "")
    assert portfolio.cash_usd == D("999.9")
    book_funding(portfolio, "BTC", D("-0.5"))
    book_fill(portfolio, make_fill(SELL, "1", "130", fee="0.2"), None, "")
    assert portfolio.cash_usd == D("1029.2")
    assert (portfolio.realised_usd, portfolio.fees_usd, portfolio.funding_usd) == (D(30), D("0.3"), D("-0.5"))


def test_a_position_that_is_closed_is_gone() -> None:
    portfolio = funded()
    book_fill(portfolio, make_fill(BUY, "2", "100"), None, "")
    assert portfolio.positions["BTC"].size == D(2)
    book_fill(portfolio, make_fill(SELL, "2", "110"), None, "")
    assert portfolio.positions == {}
    assert portfolio.position("BTC") == Position("BTC")


def test_equity_is_cash_plus_unrealised() -> None:
    portfolio = funded()
    book_fill(portfolio, make_fill(BUY, "2", "100"), None, "")
    book_fill(portfolio, make_fill(SELL, "3", "50", symbol="ETH"), None, "")
    assert portfolio.equity_usd(MARKS.get) == D(1000 + 40 + 30)


def test_equity_is_not_known_without_cash_or_the_price_of_an_open_position() -> None:
    assert Portfolio().equity_usd(MARKS.get) is None
    portfolio = funded()
    assert portfolio.equity_usd(MARKS.get) == D(1000)
    book_fill(portfolio, make_fill(BUY, "2", "100", symbol="SOL"), None, "")
    assert portfolio.equity_usd(MARKS.get) is None


def test_before_cash_is_known_fills_are_counted_all_the_same() -> None:
    portfolio = Portfolio()
    book_fill(portfolio, make_fill(BUY, "2", "100", fee="0.1"), None, "")
    book_funding(portfolio, "BTC", D(1))
    assert portfolio.cash_usd is None
    assert (portfolio.fees_usd, portfolio.funding_usd) == (D("0.1"), D(1))


def test_funding_of_a_symbol_that_is_flat_counts_but_makes_no_position() -> None:
    portfolio = funded()
    book_funding(portfolio, "BTC", D(2))
    assert (portfolio.positions, portfolio.cash_usd, portfolio.funding_usd) == ({}, D(1002), D(2))


def test_a_restored_portfolio_goes_on_where_it_was() -> None:
    before = funded()
    book_fill(before, make_fill(BUY, "2", "100", fee="0.1"), "intent", "")
    after = Portfolio()
    after.restore(
        LedgerState(
            TAG,
            positions=(before.position("BTC"), Position("ETH")),
            cash_usd=before.cash_usd,
            fees_usd=before.fees_usd,
            realised_usd=D(7),
            funding_usd=D(8),
        )
    )
    assert after.positions == before.positions
    assert (after.cash_usd, after.fees_usd, after.realised_usd, after.funding_usd) == (
        D("999.9"),
        D("0.1"),
        D(7),
        D(8),
    )
