"""No number is given twice for one symbol, action and candle, however little is remembered of old candles."""

from hypothesis import given
from hypothesis import strategies as st

from application.ordinals import CANDLES_KEPT, Ordinals
from domain.intents import Action

EXITS = (Action.CLOSE, Action.REDUCE, Action.STOP, Action.TAKE_PROFIT)
MINUTE_MS = 60_000
Place = tuple[str, Action, int]
WISHES = st.lists(
    st.tuples(
        st.sampled_from(["BTC", "ETH"]),
        st.sampled_from(EXITS[:2]),
        st.integers(0, 3 * CANDLES_KEPT).map(lambda candle: candle * MINUTE_MS),
    ),
    max_size=150,
)
EARLIER = st.sets(st.integers(0, 4))


@given(WISHES, EARLIER)
def test_no_number_is_given_twice_in_whatever_order_candles_come(wishes: list[Place], earlier: set[int]) -> None:
    given_out: set[tuple[Place, int]] = set()
    ordinals = Ordinals()
    for place in wishes:
        ordinal = ordinals.take(*place, lambda number: number not in earlier)
        assert ordinal not in earlier and (place, ordinal) not in given_out
        given_out.add((place, ordinal))


@given(st.lists(st.integers(0, CANDLES_KEPT - 1).map(lambda candle: candle * MINUTE_MS), max_size=40))
def test_of_the_newest_candles_numbers_count_up_from_zero(candles: list[int]) -> None:
    ordinals = Ordinals()
    for place, open_ms in enumerate(candles):
        assert ordinals.take("BTC", Action.STOP, open_ms, lambda _: True) == candles[:place].count(open_ms)


def test_a_candle_that_is_no_longer_remembered_goes_on_above_all_that_are_not() -> None:
    ordinals = Ordinals()
    taken = [ordinals.take("BTC", Action.STOP, 0, lambda _: True) for _ in range(3)]
    for candle in range(1, CANDLES_KEPT + 2):
        ordinals.take("BTC", Action.STOP, candle * MINUTE_MS, lambda _: True)
    taken += [ordinals.take("BTC", Action.STOP, 0, lambda _: True) for _ in range(2)]
    assert taken == [0, 1, 2, 3, 4]
    assert ordinals.take("BTC", Action.STOP, MINUTE_MS, lambda _: True) == 5, "which of them had how many is forgotten"
    assert ordinals.take("ETH", Action.STOP, 0, lambda _: True) == 0


def test_days_of_candles_leave_no_more_behind_than_one() -> None:
    ordinals, remembered = Ordinals(), []
    for day in range(3):
        for minute in range(1_440):
            ordinals.take("BTC", Action.STOP, (1_440 * day + minute) * MINUTE_MS, lambda _: True)
        remembered.append(sum(len(series.next_of) for series in ordinals._series.values()))
    assert remembered == [CANDLES_KEPT] * 3
