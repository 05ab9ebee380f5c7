"""Single market events, for those who want them one by one rather than as columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Trade:
    """One public execution; `buy` is the aggressor's side, `tid` the venue's number, not unique for ever."""

    symbol: str
    time_ms: int
    buy: bool
    price: float
    size: float
    tid: int
