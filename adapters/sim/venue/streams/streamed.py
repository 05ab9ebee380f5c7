"""What the streams need of the market on top of what answers need (`readable`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.sim.venue.exchange.events import Printed
from adapters.sim.venue.info.readable import ReadableMarket


class StreamedTop(Protocol):
    """Both touches as wire texts, None where a side is empty. Two tops are equal when they read the same."""

    @property
    def bid_px(self) -> str | None: ...
    @property
    def bid_sz(self) -> str | None: ...
    @property
    def bid_n(self) -> int: ...
    @property
    def ask_px(self) -> str | None: ...
    @property
    def ask_sz(self) -> str | None: ...
    @property
    def ask_n(self) -> int: ...


class StreamedMoves(Protocol):
    """What the market did since the last look: coins whose top may have changed, trades oldest first."""

    @property
    def tops(self) -> Sequence[str]: ...
    @property
    def prints(self) -> Sequence[Printed]: ...


class StreamedMarket(ReadableMarket, Protocol):
    def top(self, coin: str) -> StreamedTop: ...
