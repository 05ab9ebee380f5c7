"""Positions: size, average price and PnL from fills; a trade from flat to flat."""

from decimal import Decimal

import pytest

from domain.intents import Side
from domain.positions import Position, PositionStep, apply_fill, apply_funding
from tests.builders import T0, make_fill

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
FLAT = Position("BTC")


def after(*trades: tuple[Side, str, str], start: Position = FLAT, fee: str = "0") -> PositionStep:
    """Apply (side, size, price) one after another; the last step."""
    step = PositionStep(start, D(0), None)
    for number, (side, size, price) in enumerate(trades):
        fill = make_fill(side, size, price, tid=number, time_ms=T0 + number, fee=fee)
        step = apply_fill(step.position, fill, f"intent-{number}", f"reason-{number}")
    return step


def test_the_first_fill_opens_a_position_at_its_price() -> None:
    step = after((BUY, "2", "100"))
    position = step.position
    assert (position.size, position.entry_price, position.side) == (D(2), D(100), BUY)
    assert (position.opened_ms, position.intent_id) == (T0, "intent-0")
    assert (step.realised, step.closed_trade) == (D(0), None)


def test_a_sell_from_flat_is_a_short() -> None:
    position = after((SELL, "2", "100")).position
    assert (position.size, position.side) == (D(-2), SELL)


def test_more_of_the_same_averages_the_price_and_realises_nothing() -> None:
    step = after((BUY, "1", "100"), (BUY, "3", "120"))
    assert (step.position.size, step.position.entry_price) == (D(4), D(115))
    assert step.realised == 0
    assert step.position.intent_id == "intent-0"


def test_less_realises_and_leaves_the_average_alone() -> None:
    step = after((BUY, "1", "100"), (BUY, "3", "120"), (SELL, "1", "135"))
    assert (step.position.size, step.position.entry_price, step.realised) == (D(3), D(115), D(20))


def test_a_short_earns_when_the_price_falls() -> None:
    step = after((SELL, "2", "100"), (BUY, "1", "90"))
    assert (step.position.size, step.realised) == (D(-1), D(10))


def test_closing_all_ends_the_trade() -> None:
    step = after((BUY, "1", "100"), (BUY, "1", "110"), (SELL, "1", "120"), (SELL, "1", "130"), fee="0.1")
    trade = step.closed_trade
    assert trade is not None and step.position.is_flat
    assert (trade.symbol, trade.side, trade.size) == ("BTC", BUY, D(2))
    assert (trade.entry_price, trade.exit_price) == (D(105), D(125))
    assert (trade.pnl, trade.fees, trade.funding) == (D(40), D("0.4"), D(0))
    assert (trade.opened_ms, trade.closed_ms) == (T0, T0 + 3)
    assert (trade.intent_id, trade.exit_reason) == ("intent-0", "reason-3")
    assert step.realised == D(25)


def test_a_flat_position_remembers_nothing_of_the_trade_before() -> None:
    position = after((BUY, "1", "100"), (SELL, "1", "120"), fee="0.1").position
    assert position == Position("BTC", updated_ms=T0 + 1)


def test_a_flip_closes_one_trade_and_opens_another() -> None:
    step = after((BUY, "1", "100"), (SELL, "3", "90"), fee="0.3")
    trade = step.closed_trade
    assert trade is not None
    assert (trade.side, trade.size, trade.pnl, trade.fees) == (BUY, D(1), D(-10), D("0.4"))
    position = step.position
    assert (position.size, position.entry_price, position.fees) == (D(-2), D(90), D("0.2"))
    assert (position.realised, position.opened_ms, position.intent_id) == (D(0), T0 + 1, "intent-1")
    assert step.realised == D(-10)


def test_the_trade_of_a_short_is_a_sell() -> None:
    trade = after((SELL, "2", "100"), (BUY, "2", "90")).closed_trade
    assert trade is not None
    assert (trade.side, trade.entry_price, trade.exit_price, trade.pnl) == (SELL, D(100), D(90), D(20))


def test_the_size_of_a_trade_is_its_peak() -> None:
    trade = after((BUY, "1", "100"), (BUY, "2", "100"), (SELL, "2", "100"), (BUY, "1", "100"), (SELL, "2", "100"))
    assert trade.closed_trade is not None and trade.closed_trade.size == D(3)


def test_an_average_that_does_not_divide_leaves_no_crumbs_in_the_trade() -> None:
    """Three units cost 301 in all, and all of it is in the trade's PnL."""
    step = after((BUY, "1", "100"), (BUY, "1", "100"), (BUY, "1", "101"), (SELL, "1", "100"), (SELL, "2", "100"))
    trade = step.closed_trade
    assert trade is not None and trade.pnl == D(-1)


def test_a_realised_amount_has_at_most_twelve_decimals() -> None:
    step = after((BUY, "1", "100"), (BUY, "1", "100"), (BUY, "1", "101"), (SELL, "1", "100"))
    assert step.realised == D("-0.333333333333")
    assert step.position.realised == D("-0.333333333333")


def test_funding_is_booked_beside_pnl_and_fees() -> None:
    position = apply_funding(after((BUY, "1", "100"), fee="0.1").position, D("-0.25"))
    step = after((SELL, "1", "110"), start=position)
    assert step.closed_trade is not None
    assert (step.closed_trade.pnl, step.closed_trade.fees, step.closed_trade.funding) == (D(10), D("0.1"), D("-0.25"))


def test_unrealised_and_notional_follow_the_mark_price() -> None:
    short = after((SELL, "2", "100")).position
    assert (short.unrealised(D(90)), short.notional(D(90))) == (D(20), D(180))
    long = after((BUY, "2", "100")).position
    assert (long.unrealised(D(90)), long.notional(D(90))) == (D(-20), D(180))
    assert FLAT.unrealised(D(90)) == 0 and FLAT.notional(D(90)) == 0


def test_a_fill_of_another_symbol_or_without_size_is_a_mistake_of_ours() -> None:
    for fill in (make_fill(symbol="ETH"), make_fill(size="0"), make_fill(price="0"), make_fill(size="-1")):
        with pytest.raises(AssertionError):
            apply_fill(FLAT, fill, None, "")


def test_a_flat_position_has_no_side() -> None:
    with pytest.raises(AssertionError):
        _ = FLAT.side
