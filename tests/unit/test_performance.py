"""Figures over trades and bookings, with literal numbers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from domain.intents import Side
from domain.performance import (
    DAY_MS,
    Booking,
    Day,
    Drawdown,
    Sums,
    days_of,
    drawdown_of,
    figures_of,
    grouped,
    net_of,
    sum_of,
    total,
)
from domain.positions import Trade

START = 20_000 * DAY_MS


def trade(
    pnl: str, fees: str = "0", funding: str = "0", symbol: str = "BTC", opened: int = 0, closed: int = 60_000
) -> Trade:
    return Trade(
        symbol=symbol,
        side=Side.BUY,
        opened_ms=START + opened,
        closed_ms=START + closed,
        size=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        pnl=Decimal(pnl),
        fees=Decimal(fees),
        funding=Decimal(funding),
        intent_id=None,
        exit_reason="stop_loss",
    )


def earned(at_ms: int, realised: str, fee: str = "0") -> Booking:
    return Booking(START + at_ms, "BTC", realised=Decimal(realised), fee=Decimal(fee))


def paid(at_ms: int, funding: str) -> Booking:
    return Booking(START + at_ms, "BTC", funding=Decimal(funding))


def test_a_trade_wins_by_what_is_left_after_fees_and_funding() -> None:
    lost_to_fees, flat, won = trade("1", "1.5"), trade("1", "1.5", "0.5"), trade("-1", "0", "1.01")
    assert [net_of(each) for each in (lost_to_fees, flat, won)] == [Decimal("-0.5"), Decimal(0), Decimal("0.01")]
    figures = figures_of([lost_to_fees, flat, won])
    assert (figures.trades, figures.wins, figures.losses) == (3, 1, 1)
    assert figures.win_rate_pct is not None and round(figures.win_rate_pct, 2) == Decimal("33.33")


def test_figures_over_winners_and_losers() -> None:
    trades = [trade("10", "1"), trade("-4"), trade("-2"), trade("7"), trade("-1", closed=120_000)]
    figures = figures_of(trades)
    assert figures.sums == Sums(Decimal(10), Decimal(1), Decimal(0))
    assert figures.sums.net == 9
    assert (figures.gained, figures.lost) == (Decimal(16), Decimal(7))
    assert figures.profit_factor == Decimal(16) / Decimal(7)
    assert (figures.average_win, figures.average_loss) == (Decimal(8), Decimal(-7) / 3)
    assert (figures.best, figures.worst) == (trades[0], trades[1])
    assert figures.losing_streak == 2
    assert figures.average_hold_ms == 72_000


def test_where_there_is_no_number_there_is_none() -> None:
    figures = figures_of([])
    assert (figures.win_rate_pct, figures.profit_factor, figures.average_win, figures.average_loss) == (None,) * 4
    assert (figures.best, figures.worst, figures.average_hold_ms, figures.losing_streak) == (None, None, None, 0)
    winner = figures_of([trade("1")])
    assert winner.profit_factor is None, "no loser: not an infinite factor, and not 0"
    assert winner.average_loss is None


def test_a_trade_that_came_out_even_ends_a_losing_streak() -> None:
    assert figures_of([trade("-1"), trade("-1"), trade("0"), trade("-1")]).losing_streak == 2


def test_of_equal_trades_the_first_is_best_and_worst() -> None:
    first, second = trade("1"), trade("1", closed=90_000)
    figures = figures_of([first, second])
    assert figures.best is first and figures.worst is first


def test_sums_are_exact_where_the_decimal_context_would_round() -> None:
    huge, tiny = Decimal("1000000000000.1"), Decimal("0.000000000000000000001")
    sums = sum_of([earned(0, str(huge), str(tiny)), paid(1, str(tiny))])
    assert sums.realised == huge
    assert sums.net == huge
    assert total([sums, Sums(realised=tiny)]).net == Decimal("1000000000000.100000000000000000001")
    assert sums.less(Sums(realised=huge)) == Sums(Decimal(0), tiny, tiny)
    assert net_of(trade(str(huge), str(tiny))) == Decimal("1000000000000.099999999999999999999")


def test_the_deepest_fall_is_the_one_from_the_highest_peak_before_it() -> None:
    curve = [earned(0, "10"), earned(1, "-4"), earned(2, "9"), earned(3, "-5"), paid(4, "-2"), earned(5, "3")]
    assert drawdown_of(curve) == Drawdown(Decimal(7), START + 2, START + 4)


def test_a_curve_falls_from_zero_too_and_one_that_never_falls_has_no_drawdown() -> None:
    assert drawdown_of([earned(0, "0", "3"), earned(1, "5")]) == Drawdown(Decimal(3), START, START)
    assert drawdown_of([earned(0, "1"), earned(1, "2")]) is None
    assert drawdown_of([]) is None


def test_what_is_booked_in_one_millisecond_is_one_step() -> None:
    assert drawdown_of([earned(0, "5"), earned(1, "-9"), earned(1, "9")]) is None


def test_days_hold_what_was_booked_in_them_and_trades_that_closed_in_them() -> None:
    opened_late = trade("6", "1", opened=DAY_MS - 1, closed=2 * DAY_MS)
    bookings = [earned(DAY_MS - 1, "0", "0.5"), paid(DAY_MS, "-0.25"), earned(2 * DAY_MS, "6", "0.5")]
    assert days_of([opened_late], bookings, START + 3 * DAY_MS + 5) == [
        Day(START, 0, 0, Sums(Decimal(0), Decimal("0.5"), Decimal(0)), Decimal("-0.5")),
        Day(START + DAY_MS, 0, 0, Sums(funding=Decimal("-0.25")), Decimal("-0.75")),
        Day(START + 2 * DAY_MS, 1, 1, Sums(Decimal(6), Decimal("0.5"), Decimal(0)), Decimal("4.75")),
        Day(START + 3 * DAY_MS, 0, 0, Sums(), Decimal("4.75")),
    ]


def test_days_end_with_the_last_booking_where_that_is_later_than_now() -> None:
    days = days_of([], [earned(0, "1"), earned(2 * DAY_MS, "1")], START + 5)
    assert [day.start_ms for day in days] == [START, START + DAY_MS, START + 2 * DAY_MS]
    assert days_of([], [], START) == []


def test_groups_keep_the_order_of_their_trades() -> None:
    one, two, three = trade("1"), trade("2", symbol="ETH"), replace(trade("3"), closed_ms=START + 9)
    assert grouped([one, two, three], lambda each: each.symbol) == {"BTC": [one, three], "ETH": [two]}
