"""The local market of an account: which one it is, what time it is there, and the venue that plays it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from adapters.clocks import ScaledClock
from adapters.sim.exchange_state import SavedExchange, load_book
from adapters.sim.symbols import MAX_SYMBOLS, profiles
from config.settings import Settings
from config.suggestions import did_you_mean
from config.variables import Mode
from domain.strategy_config import Place
from entrypoints.paths import exchange_path
from ports.ledger import LedgerRefused
from ports.strategy_config import ConfigError, ConfigProblem

MARKET_EPOCH_MS = 1_767_578_400_000
"""Where a new local market starts (2026-01-05 02:00 UTC): the same seed meets the same first hour everywhere."""


@dataclass(frozen=True, slots=True)
class LocalMarket:
    """`symbols` are those to trade, `symbol_count` how many the market must have to hold them.

    `since` is a moment in market time and the real moment that it was: the venue and the daemon go by the same.
    """

    seed: int
    symbols: tuple[str, ...]
    symbol_count: int
    since: tuple[int, int]
    scale: float
    saved: SavedExchange | None

    @property
    def identity(self) -> dict[str, int]:
        """What a paper account keeps with its exchange's state, to find the market again."""
        market_ms, real_ms = self.since
        return {
            "seed": self.seed,
            "market_ms": market_ms,
            "real_ms": real_ms,
            "scale_milli": round(self.scale * 1000),
        }

    def clock(self) -> ScaledClock:
        return ScaledClock(*self.since, self.scale)


def local_market(settings: Settings) -> LocalMarket:
    """The market that a paper account traded on before, or a new one; its time went on meanwhile.

    Other modes trade on a venue of their own time, which is the system's.
    """
    real_ms = time.time_ns() // 1_000_000
    if settings.mode is not Mode.PAPER:
        symbols, count = _symbols(settings, None)
        return LocalMarket(settings.seed, symbols, count, (real_ms, real_ms), 1.0, None)
    path = exchange_path(settings)
    saved = load_book(path)
    if saved is None:
        market_ms = MARKET_EPOCH_MS
    else:
        seed = saved.market["seed"]
        passed_ms = max(0, real_ms - saved.market["real_ms"])
        market_ms = saved.market["market_ms"] + passed_ms * saved.market["scale_milli"] // 1000
        market_ms = max(market_ms, saved.book.now_ms)  # the system's clock was set back: the market's never is
        if seed != settings.seed:
            raise LedgerRefused(
                f"{path}: this paper account trades on the market of seed {seed}, "
                f"AI_QUANT_SEED asks for {settings.seed}; "
                "set the seed back, or give the other market a ledger of its own with AI_QUANT_DB_PATH"
            )
    symbols, count = _symbols(settings, saved)
    return LocalMarket(settings.seed, symbols, count, (market_ms, real_ms), settings.time_scale, saved)


def _symbols(settings: Settings, saved: SavedExchange | None) -> tuple[tuple[str, ...], int]:
    """The symbols asked for, BTC and whatever the account holds; the market is as large as they need."""
    names = [profile.instrument.symbol for profile in profiles(MAX_SYMBOLS)]
    asked = settings.symbols or tuple(names[: settings.local_symbols])
    unknown = [symbol for symbol in asked if symbol not in names]
    if unknown:
        problems = [
            ConfigProblem(
                Place("environment"),
                "AI_QUANT_SYMBOLS",
                f"the local market has no '{symbol}'{did_you_mean(symbol, names)}; symbols are case-sensitive",
            )
            for symbol in unknown
        ]
        raise ConfigError(problems)
    held = set() if saved is None else set(saved.book.account.positions) | set(saved.book.resting)
    wanted = tuple(sorted({"BTC", *asked, *held}, key=names.index))
    return wanted, names.index(wanted[-1]) + 1
