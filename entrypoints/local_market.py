"""The local market of a paper account: which one it is, what time it is there, who trades on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal

from adapters.clocks import ScaledClock
from adapters.sim.exchange import ExchangeRules, SimExchange
from adapters.sim.exchange_state import SavedExchange, load_book
from adapters.sim.market import SimMarket
from adapters.sim.symbols import MAX_SYMBOLS, profiles
from application.strategy_manager import StrategyManager
from config.settings import Settings
from config.suggestions import did_you_mean
from domain.instruments import Universe
from domain.strategy_config import Place
from entrypoints.paths import exchange_path
from ports.ledger import LedgerRefused
from ports.strategy_config import ConfigError, ConfigProblem

MARKET_EPOCH_MS = 1_767_578_400_000
"""Where a new local market starts (2026-01-05 02:00 UTC): the same seed meets the same first hour everywhere."""


@dataclass(frozen=True, slots=True)
class LocalMarket:
    """The market of a paper account: which one it is, and what time it is there."""

    market: SimMarket
    universe: Universe
    clock: ScaledClock
    saved: SavedExchange | None
    identity: dict[str, int]


def local_market(settings: Settings) -> LocalMarket:
    """The market that the account traded on before, or a new one; its time went on meanwhile."""
    path = exchange_path(settings)
    saved = load_book(path)
    real_ms = time.time_ns() // 1_000_000
    if saved is None:
        market_ms, seed = MARKET_EPOCH_MS, settings.seed
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
    universe, market = _universe(settings, seed, saved)
    identity = {
        "seed": seed,
        "market_ms": market_ms,
        "real_ms": real_ms,
        "scale_milli": round(settings.time_scale * 1000),
    }
    return LocalMarket(market, universe, ScaledClock(market_ms, real_ms, settings.time_scale), saved, identity)


def _universe(settings: Settings, seed: int, saved: SavedExchange | None) -> tuple[Universe, SimMarket]:
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
    wanted = sorted({"BTC", *asked, *held}, key=names.index)
    market = SimMarket(seed, names.index(wanted[-1]) + 1)
    listed = {instrument.symbol: instrument for instrument in market.instruments()}
    return Universe(listed[symbol] for symbol in wanted), market


def local_exchange(local: LocalMarket, manager: StrategyManager, settings: Settings) -> SimExchange:
    places = {instrument.symbol: place for place, instrument in enumerate(local.market.instruments())}

    def funding(symbol: str, hour_ms: int) -> tuple[Decimal, Decimal | None] | None:
        place = places[symbol]
        return local.market.funding_rate(place, hour_ms), local.market.oracle_price(place, hour_ms)

    book = None if local.saved is None else local.saved.book
    return SimExchange(local.universe, exchange_rules(manager), settings.paper_balance, funding, book)


def exchange_rules(manager: StrategyManager) -> ExchangeRules:
    return ExchangeRules(slippage_bps=manager.book.everyone.trade.slippage_bps)
