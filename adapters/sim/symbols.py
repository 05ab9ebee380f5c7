"""Who trades on the simulated market: names, trading rules, and each symbol's temperament.

The order is fixed and does not depend on the seed or on how many symbols are asked for, so
a market of 24 symbols is the first 24 of a market of 500. Well-known names come first with
their usual price scale; after them the names and figures are made up by rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from domain.instruments import Instrument, MarginTier, single_tier


@dataclass(frozen=True, slots=True)
class SymbolProfile:
    """A symbol's trading rules, and how it tends to move and trade."""

    instrument: Instrument
    base_price: float
    minute_volatility: float
    """Typical size of a one-minute change, as a fraction of the price."""
    factor_share: float
    """Correlation with the market as a whole, 0 to 1."""
    lag_minutes: int
    """How long after BTC the market's moves arrive here."""
    prints_per_second: float
    """Chance of a trade in one second of an average minute."""
    quiet_share: float
    """Rough share of minutes without any trade."""
    minute_notional_usd: float
    spread_bps: float


def profiles(count: int) -> tuple[SymbolProfile, ...]:
    """The first `count` symbols of the market."""
    assert 1 <= count <= MAX_SYMBOLS, f"the simulated market has 1 to {MAX_SYMBOLS} symbols"
    rows = [*_KNOWN, *_made_up(count - len(_KNOWN))]
    return tuple(_profile(rank, *rows[rank]) for rank in range(count))


_Row = tuple[str, float, int, int, float]


def _profile(
    rank: int, symbol: str, base_price: float, size_decimals: int, max_leverage: int, volatility_bps: float
) -> SymbolProfile:
    return SymbolProfile(
        instrument=Instrument(symbol, size_decimals, _TIERS[max_leverage]),
        base_price=base_price,
        minute_volatility=volatility_bps / 10_000,
        factor_share=(0.97, 0.92, 0.86)[rank] if rank < 3 else 0.36 + 0.04 * (rank * 7 % 6),
        lag_minutes=0 if rank == 0 else 1 + rank % 2,
        prints_per_second=max(0.12, 0.95 - 0.035 * rank),
        quiet_share=0.0 if rank < _NEVER_QUIET else min(0.20, 0.10 + 0.005 * (rank - _NEVER_QUIET)),
        minute_notional_usd=4_000_000 / ((1 + rank) * (1 + rank / 50)),
        spread_bps=min(8.0, 0.1 + 0.06 * rank),
    )


_NEVER_QUIET = 8

_TIERS = {
    40: (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000_000), 20)),
    25: (MarginTier(Decimal(0), 25), MarginTier(Decimal(100_000_000), 15)),
    20: (MarginTier(Decimal(0), 20), MarginTier(Decimal(40_000_000), 10)),
    10: (MarginTier(Decimal(0), 10), MarginTier(Decimal(20_000_000), 5)),
    5: single_tier(5),
    3: single_tier(3),
}

# symbol, price scale, size decimals, max leverage, volatility of a minute in bps
_KNOWN: tuple[_Row, ...] = (
    ("BTC", 64_000.0, 5, 40, 10.0),
    ("ETH", 3_200.0, 4, 25, 17.0),
    ("SOL", 165.0, 2, 20, 22.0),
    ("HYPE", 34.0, 2, 10, 29.0),
    ("XRP", 2.3, 0, 20, 22.0),
    ("DOGE", 0.19, 0, 10, 26.0),
    ("kPEPE", 0.0112, 0, 10, 35.0),
    ("kBONK", 0.0231, 0, 10, 35.0),
    ("SUI", 3.4, 1, 10, 28.0),
    ("AVAX", 24.0, 2, 10, 25.0),
    ("LINK", 15.5, 1, 10, 23.0),
    ("ADA", 0.71, 0, 10, 23.0),
    ("ARB", 0.42, 1, 10, 26.0),
    ("OP", 0.74, 1, 10, 26.0),
    ("WIF", 0.93, 0, 5, 38.0),
    ("TIA", 2.6, 1, 10, 30.0),
    ("LTC", 88.0, 2, 10, 19.0),
    ("BCH", 430.0, 3, 10, 20.0),
    ("BNB", 640.0, 3, 10, 14.0),
    ("NEAR", 2.7, 1, 10, 26.0),
    ("APT", 5.1, 2, 10, 25.0),
    ("SEI", 0.21, 0, 10, 30.0),
    ("INJ", 12.4, 1, 10, 28.0),
    ("ENA", 0.37, 0, 10, 35.0),
    ("AAVE", 245.0, 2, 10, 25.0),
    ("FARTCOIN", 1.15, 1, 10, 44.0),
    ("kSHIB", 0.0133, 0, 10, 23.0),
    ("TRX", 0.27, 0, 10, 13.0),
    ("TON", 3.1, 1, 10, 19.0),
    ("DOT", 4.1, 1, 10, 22.0),
    ("UNI", 6.9, 1, 10, 28.0),
    ("CRV", 0.66, 1, 10, 32.0),
    ("LDO", 0.84, 1, 10, 29.0),
    ("PENDLE", 3.9, 0, 5, 30.0),
    ("JUP", 0.48, 0, 10, 28.0),
    ("PYTH", 0.13, 0, 5, 28.0),
    ("ONDO", 0.86, 0, 10, 25.0),
    ("TAO", 385.0, 3, 5, 28.0),
    ("RENDER", 3.8, 1, 5, 26.0),
    ("FIL", 2.6, 1, 5, 23.0),
    ("ATOM", 4.3, 2, 5, 22.0),
    ("ETC", 17.0, 2, 5, 20.0),
    ("XLM", 0.28, 0, 10, 22.0),
    ("HBAR", 0.17, 0, 5, 25.0),
    ("ALGO", 0.19, 0, 5, 23.0),
    ("POL", 0.21, 0, 5, 23.0),
    ("STX", 0.74, 1, 5, 26.0),
    ("RUNE", 1.4, 1, 5, 28.0),
    ("GMX", 14.5, 2, 5, 23.0),
    ("DYDX", 0.58, 1, 5, 26.0),
    ("SNX", 0.63, 1, 3, 28.0),
    ("COMP", 47.0, 2, 5, 25.0),
    ("MKR", 1_850.0, 4, 5, 23.0),
    ("ZRO", 2.1, 1, 5, 29.0),
    ("STRK", 0.13, 1, 5, 29.0),
    ("BLUR", 0.083, 1, 3, 32.0),
    ("WLD", 0.98, 1, 10, 32.0),
    ("PENGU", 0.0152, 0, 5, 41.0),
    ("TRUMP", 9.4, 1, 10, 30.0),
    ("POPCAT", 0.34, 0, 3, 41.0),
    ("MOODENG", 0.17, 0, 5, 44.0),
    ("kFLOKI", 0.078, 0, 5, 30.0),
    ("kNEIRO", 0.41, 1, 3, 38.0),
    ("GOAT", 0.11, 0, 5, 41.0),
)

_ONSETS = ("B", "BR", "C", "D", "DR", "F", "G", "K", "KR", "L", "M", "N", "R", "SK", "T", "V", "Z")
_RIMES = ("ALA", "ANT", "ARO", "AXE", "ELM", "ENI", "ERA", "IDO", "ILO", "IRA", "IVY", "OLT", "ONA", "ORB", "ULO")
_SUFFIXES = ("", "AI", "FI", "X", "DAO", "PAD", "NET", "SWAP")
MAX_SYMBOLS = len(_KNOWN) + len(_ONSETS) * len(_RIMES) * len(_SUFFIXES)


def _made_up(count: int) -> Iterator[_Row]:
    """Plausible further markets. The strides share no factor with the list lengths, so no name repeats."""
    for place in range(count):
        block, rest = divmod(place, len(_ONSETS) * len(_RIMES))
        turn = rest // len(_ONSETS)
        name = _ONSETS[rest * 7 % len(_ONSETS)] + _RIMES[(rest * 9 + turn) % len(_RIMES)]
        decade = place * 3 % 4 - 2
        price = float(f"{1 + place * 37 % 83 / 10:.1f}e{decade}")
        decimals = max(0, decade)
        leverage = (10, 5, 3)[min(place // 60, 2)]
        yield name + _SUFFIXES[block], price, decimals, leverage, 20.0 + place * 11 % 23
