"""A recorded market with a simulated exchange in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.hyperliquid.frame_desk import FrameDesk
from adapters.hyperliquid.heard import BookHeard, FundingsHeard, TradesHeard
from adapters.hyperliquid.wire_frames import decode_frame
from adapters.sim.account import VenueAccount, VenuePosition
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.exchange_book import ExchangeBook
from domain.event_text import event_from_plain
from domain.events import AccountSnapshot, Event, FundingPaid
from domain.instruments import Universe, exact_price
from domain.market import BookSnapshot, PublicTrade
from entrypoints.recording import Setup
from ports.session_log import Entry, Tag

HOUR_MS = 3_600_000

_COUNTS = frozenset((Tag.FRAME, Tag.DELIVER))

Rates = Mapping[tuple[str, int], Decimal]
"""By symbol and full hour."""


class PaperMarket:
    """Frames that the exchange sees before anybody else: books and trades at once, quotes when they are told."""

    def __init__(self, desk: FrameDesk) -> None:
        self._desk = desk
        self._exchange: SimExchange | None = None
        self._news: list[Event] = []

    def redo(self, entry: Sequence[Any]) -> None:
        self._desk.redo(entry)
        if entry[0] in _COUNTS and self._exchange is not None:
            heard = self._desk.heard
            if isinstance(heard, BookHeard):
                self._news += self._exchange.on_book(_book(heard))
            elif isinstance(heard, TradesHeard):
                self._news += self._exchange.on_trades(_trades(heard))

    def news(self) -> Sequence[Event]:
        news, self._news = self._news, []
        return news

    def opener(
        self, universe: Universe, rules: Callable[[], ExchangeRules], rates: Rates
    ) -> Callable[[AccountSnapshot], SimExchange]:
        """What opens the exchange with the account as a snapshot has it, and lets it see these frames."""

        def open_account(snapshot: AccountSnapshot) -> SimExchange:
            held = {each.symbol: each for each in snapshot.held}
            positions = {}
            for symbol, size in snapshot.positions:
                if symbol in universe:
                    known = held.get(symbol)
                    entry = Decimal(0) if known is None or known.entry_price is None else known.entry_price
                    positions[symbol] = VenuePosition(size, entry, Decimal(1 if known is None else known.leverage))
            book = ExchangeBook(VenueAccount(snapshot.cash_usd, positions))
            book.now_ms = snapshot.at_ms
            self._exchange = SimExchange(universe, rules(), snapshot.cash_usd, _paid(rates), book)
            return self._exchange

        return open_account


def recorded_rates(entries: Iterable[Entry], setup: Setup) -> Rates:
    """Funding rates that the recorded account paid; of hours in which it held nothing none is known."""
    universe = Universe(setup.universe)
    user = None if setup.user is None else setup.user.lower()
    rates = {}
    for entry in entries:
        found: Sequence[FundingPaid] = ()
        if entry[0] == Tag.EVENT and entry[3] == "funding":
            event = event_from_plain(entry[3], entry[4])
            found = (event,) if isinstance(event, FundingPaid) else ()
        elif entry[0] in (Tag.FRAME, Tag.HELD) and '"userFundings"' in entry[4]:
            heard = decode_frame(entry[4], universe, user)
            found = heard.fundings if isinstance(heard, FundingsHeard) else ()
        for paid in found:
            rates[paid.symbol, paid.time_ms // HOUR_MS * HOUR_MS] = paid.rate
    return rates


def _paid(rates: Rates) -> Callable[[str, int], tuple[Decimal, Decimal | None] | None]:
    def paid(symbol: str, hour_ms: int) -> tuple[Decimal, Decimal | None] | None:
        rate = rates.get((symbol, hour_ms))
        return None if rate is None else (rate, None)

    return paid


def _book(heard: BookHeard) -> BookSnapshot:
    bids, asks = (
        tuple((exact_price(price), exact_price(size)) for price, size in side) for side in (heard.bids, heard.asks)
    )
    return BookSnapshot(heard.coin, heard.venue_ms, bids, asks)


def _trades(heard: TradesHeard) -> list[PublicTrade]:
    return [
        PublicTrade(heard.coin, each.side, exact_price(each.price), exact_price(each.size), each.time_ms, each.tid)
        for each in heard.trades
    ]
