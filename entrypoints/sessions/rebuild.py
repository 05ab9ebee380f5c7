"""From a session's manifest to the engine that it was recorded with."""

from __future__ import annotations

from pathlib import Path

from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.frame_desk import FrameDesk, NobodyListens
from adapters.session_files.manifest import Manifest
from application.engine import UnifiedEngine
from application.replay import Births, Replay
from application.strategy_manager import StrategyManager
from config.load import Configuration, load_configuration
from domain.config_events import OverridesText
from domain.instruments import Universe
from entrypoints.recording import Setup, setup_of
from entrypoints.strategies import stream_strategy
from ports.session_errors import SessionDamaged
from ports.strategy import Strategy
from ports.strategy_config import ConfigError

_NOWHERE = Path("/nonexistent")
"""No path of the recording machine is looked at, nor a .env of this one."""


def configuration_of(manifest: Manifest, overrides: OverridesText | None = None) -> Configuration:
    """The settings of the recording, maybe with other overrides in place of its file.

    Raises `SessionDamaged` where what was recorded cannot be used, `ConfigError` where the other overrides cannot.
    """
    recorded = setup_of(manifest).overrides
    try:
        return load_configuration(
            manifest.settings, root=_NOWHERE, cwd=_NOWHERE, seen_ms=0, overrides=overrides or recorded
        )
    except ConfigError as error:
        if overrides is not None:
            raise
        why = f"its settings are none that this version takes: {error}"
        raise SessionDamaged("manifest.json", why, advice="use the version that wrote it") from error


def engine_of(setup: Setup, configuration: Configuration, strategy: Strategy | None = None) -> UnifiedEngine:
    """An engine at its beginning. `strategy` stands in for the recorded one."""
    universe = Universe(setup.universe)
    encoder = None if setup.assets is None else ActionEncoder(universe, setup.assets, setup.vault)
    return UnifiedEngine(
        setup.engine,
        universe,
        strategy or stream_strategy(setup.strategy),
        StrategyManager(configuration.parser, configuration.first),
        encoder,
    )


def frames_of(setup: Setup, births: Births) -> FrameDesk:
    """What turns the recorded frames into events again."""
    engine = setup.engine
    user = None if setup.user is None else setup.user.lower()
    return FrameDesk(
        Universe(setup.universe),
        engine.interval,
        engine.exit_interval,
        setup.ahead_limit_ms,
        user,
        births,
        NobodyListens(),
    )


def replay_of(manifest: Manifest, strategy: Strategy | None = None) -> Replay:
    """A replay of the session, ready to run."""
    setup = setup_of(manifest)
    births = Births()
    return Replay(engine_of(setup, configuration_of(manifest), strategy), frames_of(setup, births), births)
