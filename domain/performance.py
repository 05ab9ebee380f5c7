"""What trading brought: sums over what was booked, and figures over closed trades.

Two views of the same money. A *booking* moved cash, at its moment: a fill's realised PnL and fee, or a funding payment.
A *trade* is a round trip, counted when it closed, with all that it brought. They differ by what was booked on positions
that are still open, and on none (a payment after the close). Sums are exact, in any order; only ratios and averages are
rounded, to the precision of the decimal context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from domain.fact_text import exact_sum
from domain.intents import Side
from domain.positions import Trade

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Booking:
    """One fill (`realised`, `fee`) or one funding payment (`funding`, received when positive). USD."""

    time_ms: int
    symbol: str
    realised: Decimal = ZERO
    fee: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def moved(self) -> tuple[Decimal, Decimal, Decimal]:
        """What it moved cash by, in its parts: they are yet to be added up exactly."""
        return self.realised, self.fee.copy_negate(), self.funding


@dataclass(frozen=True, slots=True)
class Sums:
    """Money in USD. `realised` excludes fees and funding; `net` is what is left in the end."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return exact_sum((self.realised, self.fees.copy_negate(), self.funding))

    def less(self, other: Sums) -> Sums:
        """What of this is not in `other`."""
        return Sums(
            exact_sum((self.realised, other.realised.copy_negate())),
            exact_sum((self.fees, other.fees.copy_negate())),
            exact_sum((self.funding, other.funding.copy_negate())),
        )


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """Closed trades with something in common. None stands where there is no such number.

    A trade wins when its net is above zero and loses when it is below. `gained` is what winners brought, `lost` what
    losers cost (positive). `losing_streak` is the longest run of losers in the order of closing.
    """

    trades: int
    wins: int
    losses: int
    sums: Sums
    gained: Decimal
    lost: Decimal
    best: Trade | None
    worst: Trade | None
    losing_streak: int
    average_hold_ms: int | None

    @property
    def win_rate_pct(self) -> Decimal | None:
        return Decimal(self.wins) * 100 / self.trades if self.trades else None

    @property
    def profit_factor(self) -> Decimal | None:
        """What winners brought for every dollar that losers cost; None without a loser."""
        return self.gained / self.lost if self.lost else None

    @property
    def average_win(self) -> Decimal | None:
        return self.gained / self.wins if self.wins else None

    @property
    def average_loss(self) -> Decimal | None:
        """Below zero."""
        return self.lost.copy_negate() / self.losses if self.losses else None


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The largest fall of the booked curve from a peak, in USD, and when it began and reached its bottom."""

    usd: Decimal
    peak_ms: int
    bottom_ms: int


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: trades that closed in it, what was booked in it, and all net that was booked until its end."""

    start_ms: int
    trades: int
    wins: int
    sums: Sums
    cumulative: Decimal


def net_of(trade: Trade) -> Decimal:
    """What a trade brought in the end. A trade wins when this is above zero."""
    return Sums(trade.pnl, trade.fees, trade.funding).net


def side_word(side: Side) -> str:
    return "long" if side is Side.BUY else "short"


def sum_of(bookings: Sequence[Booking]) -> Sums:
    """What fills and payments add up to."""
    return Sums(
        exact_sum(each.realised for each in bookings),
        exact_sum(each.fee for each in bookings),
        exact_sum(each.funding for each in bookings),
    )


def total(parts: Iterable[Sums]) -> Sums:
    """What sums add up to."""
    each = list(parts)
    return Sums(
        exact_sum(part.realised for part in each),
        exact_sum(part.fees for part in each),
        exact_sum(part.funding for part in each),
    )


def figures_of(trades: Sequence[Trade]) -> TradeFigures:
    """Figures over trades, which come in the order in which they closed. Of equals the first is best, or worst."""
    nets = [net_of(trade) for trade in trades]
    return TradeFigures(
        trades=len(trades),
        wins=sum(net > 0 for net in nets),
        losses=sum(net < 0 for net in nets),
        sums=Sums(
            exact_sum(trade.pnl for trade in trades),
            exact_sum(trade.fees for trade in trades),
            exact_sum(trade.funding for trade in trades),
        ),
        gained=exact_sum(net for net in nets if net > 0),
        lost=exact_sum(net.copy_negate() for net in nets if net < 0),
        best=trades[nets.index(max(nets))] if nets else None,
        worst=trades[nets.index(min(nets))] if nets else None,
        losing_streak=max((sum(1 for _ in run) for loses, run in groupby(net < 0 for net in nets) if loses), default=0),
        average_hold_ms=sum(each.closed_ms - each.opened_ms for each in trades) // len(trades) if trades else None,
    )


def grouped(trades: Iterable[Trade], name_of: Callable[[Trade], str]) -> dict[str, list[Trade]]:
    """Trades by name, each group in the order given."""
    groups: dict[str, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(name_of(trade), []).append(trade)
    return groups


def drawdown_of(bookings: Sequence[Booking]) -> Drawdown | None:
    """The deepest fall of what was booked in all, from zero on; None where it never fell. Bookings by time.

    What is of one millisecond counts as one step: nobody could have stood between.
    """
    level = peak = ZERO
    peak_ms = bookings[0].time_ms if bookings else 0
    deepest: Drawdown | None = None
    for time_ms, step in groupby(bookings, attrgetter("time_ms")):
        level = exact_sum((level, *(amount for each in step for amount in each.moved)))
        if level >= peak:
            peak, peak_ms = level, time_ms
            continue
        fall = exact_sum((peak, level.copy_negate()))
        if deepest is None or fall > deepest.usd:
            deepest = Drawdown(fall, peak_ms, time_ms)
    return deepest


def days_of(trades: Sequence[Trade], bookings: Sequence[Booking], until_ms: int) -> list[Day]:
    """Every day from the first booking or close to the day of `until_ms` or of the last, empty ones included."""
    closed: dict[int, list[Trade]] = {}
    for trade in trades:
        closed.setdefault(trade.closed_ms // DAY_MS, []).append(trade)
    moved: dict[int, list[Booking]] = {}
    for booking in bookings:
        moved.setdefault(booking.time_ms // DAY_MS, []).append(booking)
    active = closed.keys() | moved.keys()
    if not active:
        return []
    days = []
    cumulative = ZERO
    for number in range(min(active), max(*active, until_ms // DAY_MS) + 1):
        figures, sums = figures_of(closed.get(number, [])), sum_of(moved.get(number, []))
        cumulative = exact_sum((cumulative, sums.net))
        days.append(Day(number * DAY_MS, figures.trades, figures.wins, sums, cumulative))
    return days
