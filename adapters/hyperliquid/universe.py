"""The venue's perpetual markets: instruments, and their asset ids on this network.

Builders run dexes of their own at the venue, with markets named `dex:COIN` (`xyz:CL`). Those that are asked for by the
dex's name join the first dex's markets. Made for them: instruments and asset ids, quotes, candles, trades, candle
history, volumes and listings. NOT made for them, so that nothing may be sent for them yet:

- The account. `clearinghouseState` and `openOrders` answer for one dex, and only the first is asked about. Fills,
  funding payments, order updates, positions and open orders of names with a colon are set aside as rows of another
  market, whether or not they stand in the universe (`is_other_market` in `wire_rows`, `wire_account`, `wire_orders`
  and `wire_frames`).
- Margin. Each dex has its own, many of their markets take isolated margin alone, and their money need not be USDC (a
  line in `problems` says where it is not).
- Funding rates (`funding.read_rates`) and mid prices (`allMids`) are asked of the first dex only. Fees differ there
  (`deployerFeeScale`, `growthMode`), and are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.wire_rest import Meta, decode_meta, decode_perp_dexs
from domain.instruments import Universe
from ports.order_gateway import VenueUnavailable

DEX_MARK = ":"
"""Ends the name of a builder's dex in the name of its market; in no other name."""
BUILDER_SWITCH = "AI_QUANT_BUILDER_DEXES"

_FIRST_BUILDER_ASSET = 100_000
_ASSETS_PER_DEX = 10_000
_NAMES_SHOWN = 12

Answer = TypeVar("Answer")


class UnknownSymbols(Exception):
    """Symbols were asked for that cannot be traded here; `known` are those that can, for a suggestion.

    `switch` is what would have to be set for those of `unknown` that stand in builders' dexes; empty if none does.
    """

    def __init__(
        self,
        unknown: Sequence[str],
        delisted: Sequence[str],
        known: Sequence[str],
        problems: Sequence[str] = (),
        *,
        builder_dexes: Sequence[str] = (),
    ) -> None:
        """`builder_dexes` are those that were looked at."""
        self.unknown, self.delisted, self.known = tuple(unknown), tuple(delisted), tuple(known)
        elsewhere = [name for name in unknown if DEX_MARK in name and dex_of(name) not in builder_dexes]
        missing = [name for name in unknown if name not in elsewhere]
        dexes = dict.fromkeys((*builder_dexes, *map(dex_of, elsewhere)))
        self.switch = f"{BUILDER_SWITCH}={','.join(dexes)}" if elsewhere else ""
        parts = []
        if missing:
            parts.append(f"the venue has no {_listed(missing)} (names are case-sensitive)")
        if elsewhere:
            parts.append(f"{_listed(elsewhere)} would be admitted by {self.switch} (a builder's dex)")
        if delisted:
            parts.append(f"delisted: {_listed(delisted)}")
        parts.append(f"{'it' if missing else 'the venue'} has {_listed(known)}")
        if problems:
            parts.append(f"not understood: {', '.join(problems)}")
        super().__init__("; ".join(parts))


class UnknownDexes(Exception):
    """Builders' dexes were asked for that the venue does not have; `known` are those it has."""

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        self.unknown, self.known = tuple(unknown), tuple(known)
        super().__init__(f"the venue has no dex {_listed(unknown)} (names are case-sensitive); it has {_listed(known)}")


@dataclass(frozen=True, slots=True)
class VenueMarkets:
    """What the session trades, in the venue's order. `asset_of` holds for this network only.

    `listed` are the names of all markets that can be traded, wanted or not. `problems` are lines for the operator:
    what the venue says that we do not understand.
    """

    universe: Universe
    asset_of: Mapping[str, int]
    isolated_only: frozenset[str]
    problems: tuple[str, ...]
    listed: tuple[str, ...]


async def read_universe(
    info: InfoClient, wanted: Iterable[str] | None = None, builder_dexes: Sequence[str] = ()
) -> VenueMarkets:
    """The wanted symbols, or all of the first dex and of `builder_dexes`; never a delisted one.

    Raises `UnknownSymbols` and `UnknownDexes`, and `VenueUnavailable` where the venue does not answer or its answer
    cannot be read. Volumes are not read here: for its first answer with them a local venue adds up a day of minutes,
    which takes it 9 ms a coin. They are the first thing that `MarketWatch` asks for.
    """
    metas = [await _asked(info, {"type": "meta"}, decode_meta)]
    dexes = tuple(dict.fromkeys(builder_dexes))
    if dexes:
        places = await _asked(info, {"type": "perpDexs"}, decode_perp_dexs)
        if unknown := [dex for dex in dexes if dex not in places]:
            raise UnknownDexes(unknown, list(places))
        for dex in dexes:
            meta = await _asked(info, {"type": "meta", "dex": dex}, partial(decode_meta, dex=dex))
            metas.append(_in_dex(dex, places[dex], meta))
    return markets_of(_joined(metas), None if wanted is None else frozenset(wanted), dexes)


def markets_of(meta: Meta, wanted: frozenset[str] | None, builder_dexes: Sequence[str] = ()) -> VenueMarkets:
    listed = [instrument for instrument in meta.instruments if not instrument.delisted]
    known = [instrument.symbol for instrument in listed]
    if wanted is not None and (missing := sorted(wanted.difference(known))):
        unknown = [name for name in missing if name not in meta.asset_ids]
        delisted = [name for name in missing if name in meta.asset_ids]
        raise UnknownSymbols(unknown, delisted, known, meta.problems, builder_dexes=builder_dexes)
    universe = Universe(instrument for instrument in listed if wanted is None or instrument.symbol in wanted)
    if not universe:
        raise VenueUnavailable("meta: no market that can be traded")
    return VenueMarkets(
        universe=universe,
        asset_of={symbol: meta.asset_ids[symbol] for symbol in universe.symbols},
        isolated_only=meta.isolated_only.intersection(universe.symbols),
        problems=meta.problems,
        listed=tuple(known),
    )


def dex_of(symbol: str) -> str:
    """The builder's dex that a market stands in; empty for the first dex."""
    dex, mark, _ = symbol.partition(DEX_MARK)
    return dex if mark else ""


async def _asked(info: InfoClient, request: dict[str, object], decode: Callable[[bytes], Answer]) -> Answer:
    body = await info.ask(request, lane=Lane.ACCOUNT)
    try:
        return decode(body)
    except DecodeError as e:
        raise VenueUnavailable(str(e)) from e


def _in_dex(dex: str, place: int, meta: Meta) -> Meta:
    """The same markets with the asset ids that they have in all of the venue."""
    if max(meta.asset_ids.values(), default=0) >= _ASSETS_PER_DEX:
        raise VenueUnavailable(f"meta: {dex} has more markets than there are asset ids for it")
    first = _FIRST_BUILDER_ASSET + place * _ASSETS_PER_DEX
    return replace(meta, asset_ids={name: first + each for name, each in meta.asset_ids.items()})


def _joined(metas: Sequence[Meta]) -> Meta:
    """Names of different dexes differ: only a builder's have its name in front."""
    return Meta(
        instruments=tuple(instrument for meta in metas for instrument in meta.instruments),
        asset_ids={name: asset for meta in metas for name, asset in meta.asset_ids.items()},
        isolated_only=frozenset().union(*(meta.isolated_only for meta in metas)),
        problems=tuple(problem for meta in metas for problem in meta.problems),
        skipped=sum(meta.skipped for meta in metas),
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN]) or "nothing"
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
