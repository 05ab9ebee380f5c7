"""A resting stop must not go back and forth with the price: every move is two requests, and a moment with two stops."""

from decimal import Decimal

import pytest

from domain.exits import exit_levels
from domain.intents import Side
from domain.signals import FeatureRow
from domain.strategy_config import StrategyBook, TradeConfig
from tests.builders import LONG, make_exit_state, make_row
from tests.unit.test_exit_desk import Bench, levels

WEAKENING = make_row(adx=30.0, adx_slope=-0.1)
"""It narrows the stop to 0.8 of its distance, for under water it will be when the stop is near."""
STRONG = make_row(adx=42.0, adx_slope=0.1)
"""A strong trend in profit: nothing of that is left where the stop is."""


@pytest.mark.parametrize(("row", "below", "above"), [(WEAKENING, 99.95, 100.05), (STRONG, 100.45, 100.55)])
def test_a_price_that_goes_to_and_fro_by_a_tenth_of_an_atr_moves_the_resting_stop_once_at_most(
    row: FeatureRow, below: float, above: float
) -> None:
    bench = Bench(enable_breakeven_stop=False)
    bench.open(Side.BUY)
    bench.rest()
    bench.desk.note_row("BTC", row)
    moved: list[Decimal] = []
    for turn in range(20):
        moved += [price for _, price, _ in levels(bench.look(below if turn % 2 else above))]
        bench.rest()
    assert len(moved) <= 1, f"the stop went to {moved}"


@pytest.mark.parametrize(("row", "below", "above"), [(WEAKENING, 99.95, 100.05), (STRONG, 100.45, 100.55)])
def test_a_stop_never_moves_away_from_the_price_while_indicators_stay_as_they_are(
    row: FeatureRow, below: float, above: float
) -> None:
    """What the head of `domain.exits` promises: the stop only ever tightens."""
    trade, state = trade_of(Bench(enable_breakeven_stop=False).book), make_exit_state()
    stops = []
    for price in (above, below, above):
        found = exit_levels(LONG, state, price, row, trade, None)
        state = found.state
        stops.append(found.stop)
    assert stops == sorted(stops), f"for a long a stop goes up or stays: {stops}"


def trade_of(book: StrategyBook) -> TradeConfig:
    return book.for_symbol("BTC").trade
