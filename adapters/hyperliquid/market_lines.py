"""The market's connections, and which of them carries which stream.

At the start streams are spread evenly. Later a symbol's streams go together to the connection with the most room, or to
another connection where there is no room for them; only where that is not allowed any more are they parted. A stream
goes back to where it is still known, be it that its end is not answered yet or that something is held against it. A
connection that has become empty stays, idle, for the next symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from adapters.hyperliquid.lines import Line
from adapters.hyperliquid.subscriptions import Subscription, by_coin, spread


class MarketLines:
    """Every stream is carried by one connection. `make` makes one of this number, with these streams at first."""

    def __init__(
        self,
        make: Callable[[int, Sequence[Subscription]], Line],
        *,
        per_connection: int,
        connections_limit: int,
        first_number: int,
    ) -> None:
        self.lines: list[Line] = []
        self._make = make
        self._first_number = first_number
        self._per_connection = per_connection
        self._limit = connections_limit
        self._carriers: dict[str, int] = {}
        """Places in `lines`."""
        self._loads: list[int] = []

    def lay_out(self, wanted: Sequence[Subscription]) -> None:
        """Carry these streams, spread evenly. Only before anything is connected."""
        parts = spread((), wanted, self._per_connection)
        self.lines[:] = [self._make(self._first_number + place, part) for place, part in enumerate(parts)]
        self._loads = [len(part) for part in parts]
        self._carriers = {each.key: place for place, part in enumerate(parts) for each in part}

    def change(self, wanted: Sequence[Subscription]) -> list[Line]:
        """Carry these streams and no others, as far as they were not given up. Returns connections that are new.

        They must fit: `check_limits`.
        """
        known = len(self.lines)
        keys = {each.key for each in wanted}
        for place, line in enumerate(self.lines):
            leaving = [key for key, carrier in self._carriers.items() if carrier == place and key not in keys]
            if leaving:
                line.drop(leaving)
            for key in leaving:
                del self._carriers[key]
            self._loads[place] -= len(leaving)
        arriving: dict[int, list[Subscription]] = {}
        given_up = {key for line in self.lines for key in line.session.given_up}
        coming = [each for each in wanted if each.key not in self._carriers and each.key not in given_up]
        for group in by_coin(coming):
            for each, place in self._placed(group):
                arriving.setdefault(place, []).append(each)
        for place, subscriptions in arriving.items():
            self.lines[place].want(subscriptions)
        return self.lines[known:]

    def renew(self, keys: Collection[str]) -> None:
        """Ask for these streams anew, where they run."""
        for place, line in enumerate(self.lines):
            mine = [key for key in keys if self._carriers.get(key) == place]
            if mine:
                line.renew(mine)

    # ── where a stream goes ──────────────────────────────────────────────────────────────────────

    def _placed(self, group: Sequence[Subscription]) -> list[tuple[Subscription, int]]:
        """Find places for one symbol's streams, and take them."""
        placed = []
        strangers = []
        for each in group:
            place = self._known_place(each)
            if place is None:
                strangers.append(each)
            else:
                placed.append((each, self._load(each, place)))
        whole = self._room_for(len(strangers))
        for each in strangers:
            place = whole if whole is not None else self._room_for(1)
            assert place is not None, "more streams than all connections carry"
            placed.append((each, self._load(each, place)))
        return placed

    def _known_place(self, subscription: Subscription) -> int | None:
        for place, line in enumerate(self.lines):
            if line.session.knows(subscription.key) and self._loads[place] < self._per_connection:
                return place
        return None

    def _room_for(self, count: int) -> int | None:
        """The connection with the most room if that is enough, or a new one; None where neither is to be had."""
        place = min(range(len(self.lines)), key=self._loads.__getitem__, default=None)
        if place is not None and self._loads[place] + count <= self._per_connection:
            return place
        if len(self.lines) == self._limit or count > self._per_connection:
            return None
        self.lines.append(self._make(self._first_number + len(self.lines), ()))
        self._loads.append(0)
        return len(self.lines) - 1

    def _load(self, subscription: Subscription, place: int) -> int:
        self._carriers[subscription.key] = place
        self._loads[place] += 1
        return place
