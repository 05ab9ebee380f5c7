"""Running a recorded market against the simulated exchange: as it was recorded, or with another config or strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from application.replay import Births, Stop
from application.what_if import Simulated, WhatIf
from config.overrides_watch import OverridesWatch
from domain.config_events import OverridesText
from domain.strategy_config import Place
from entrypoints.recording import setup_of
from entrypoints.rows import exchange_rules
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.paper_market import PaperMarket, Rates, recorded_rates
from entrypoints.sessions.rebuild import configuration_of, engine_of, frames_of
from entrypoints.strategies import stream_strategy, worker_of
from ports.strategy import Strategy
from ports.strategy_config import ConfigError, ConfigProblem


def read_overrides(path: Path) -> OverridesText:
    """Another config, from a file. Raises `ConfigError` where it cannot be read."""
    look = OverridesWatch(path, str(path)).look(0)
    if look.content is None:
        raise ConfigError([ConfigProblem(Place(look.path), "", look.reason)])
    return look


def simulate_session(
    session: OpenedSession,
    *,
    overrides: OverridesText | None = None,
    strategy: str | None = None,
    rates: Rates | None = None,
    until: Stop | None = None,
    on_event: Callable[[int], None] = lambda _: None,
    label: str = "simulation",
    make_strategy: Callable[[], Strategy] | None = None,
) -> Simulated:
    """One run; the recorded config and strategy where no other is given. The same arguments give the same result.

    `make_strategy` stands in for a strategy that has no name.
    """
    setup = setup_of(session.manifest)
    configuration = configuration_of(session.manifest, overrides)
    name = strategy or setup.strategy
    births = Births()
    market = PaperMarket(frames_of(setup, births))
    chosen = make_strategy() if make_strategy is not None else stream_strategy(name)
    engine = engine_of(replace(setup, assets=None), configuration, chosen)
    opener = market.opener(
        engine.universe,
        lambda: exchange_rules(engine.manager),
        rates if rates is not None else funding_rates(session),
    )
    worker = None if make_strategy is not None else worker_of(name, configuration.settings.strategy_deadline_ms)
    run = WhatIf(
        engine,
        market,
        births,
        opener,
        worker,
        keeps_config=overrides is None,
        until=until or Stop(),
        on_event=on_event,
    )
    try:
        return run.run(session.entries(label))
    finally:
        if worker is not None:
            worker.close_sync()


def funding_rates(session: OpenedSession) -> Rates:
    return recorded_rates(session.entries("funding"), setup_of(session.manifest))
