"""The venue's perpetual markets: instruments, and their asset ids on this network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.wire_rest import Meta, decode_meta
from domain.instruments import Universe
from ports.order_gateway import VenueUnavailable

_NAMES_SHOWN = 12


class UnknownSymbols(Exception):
    """Symbols were asked for that cannot be traded here; `known` are those that can, for a suggestion."""

    def __init__(
        self, unknown: Sequence[str], delisted: Sequence[str], known: Sequence[str], problems: Sequence[str] = ()
    ) -> None:
        self.unknown, self.delisted, self.known = tuple(unknown), tuple(delisted), tuple(known)
        parts = []
        if unknown:
            parts.append(f"the venue has no {_listed(unknown)} (names are case-sensitive)")
        if delisted:
            parts.append(f"delisted: {_listed(delisted)}")
        parts.append(f"it has {_listed(known)}")
        if problems:
            parts.append(f"not understood: {', '.join(problems)}")
        super().__init__("; ".join(parts))


@dataclass(frozen=True, slots=True)
class VenueMarkets:
    """What the session trades, in the venue's order. `asset_of` holds for this network only.

    `problems` are lines for the operator: what the venue says that we do not understand.
    """

    universe: Universe
    asset_of: Mapping[str, int]
    isolated_only: frozenset[str]
    problems: tuple[str, ...]


async def read_universe(info: InfoClient, wanted: Iterable[str] | None = None) -> VenueMarkets:
    """The wanted symbols, or all; never a delisted one.

    Raises `UnknownSymbols`, and `VenueUnavailable` where the venue does not answer or its answer cannot be read.
    """
    body = await info.ask({"type": "meta"}, lane=Lane.ACCOUNT)
    try:
        meta = decode_meta(body)
    except DecodeError as e:
        raise VenueUnavailable(str(e)) from e
    return markets_of(meta, None if wanted is None else frozenset(wanted))


def markets_of(meta: Meta, wanted: frozenset[str] | None) -> VenueMarkets:
    listed = [instrument for instrument in meta.instruments if not instrument.delisted]
    known = [instrument.symbol for instrument in listed]
    if wanted is not None and (missing := sorted(wanted.difference(known))):
        unknown = [name for name in missing if name not in meta.asset_ids]
        raise UnknownSymbols(unknown, [name for name in missing if name in meta.asset_ids], known, meta.problems)
    universe = Universe(instrument for instrument in listed if wanted is None or instrument.symbol in wanted)
    if not universe:
        raise VenueUnavailable("meta: no market that can be traded")
    return VenueMarkets(
        universe=universe,
        asset_of={symbol: meta.asset_ids[symbol] for symbol in universe.symbols},
        isolated_only=meta.isolated_only.intersection(universe.symbols),
        problems=meta.problems,
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN]) or "nothing"
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
