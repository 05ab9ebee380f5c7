"""Recording a daemon: where a session's files go, and what a replay has to know besides them."""

from __future__ import annotations

import os
import platform
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adapters.hyperliquid.feed_settings import FeedSettings
from adapters.session_files.manifest import Manifest
from adapters.session_files.prune import session_folders
from adapters.session_files.reader import SessionReader
from adapters.session_files.writer import SessionLimits, SessionWriter
from application.engine_settings import EngineSettings
from application.recorder import entry_to_plain
from config.load import Configuration
from domain.config_events import OverridesText
from domain.instruments import Instrument
from domain.value_text import codec_of, plain
from entrypoints.venue_connection import VenueConnection
from ports.alerts import Alerts
from ports.session_errors import SessionDamaged, SessionError
from ports.session_log import NoRecord, SessionLog

_PACKAGES = ("numpy", "pandas", "TA-Lib", "msgspec", "SQLAlchemy")


def session_name() -> str:
    """A name for this process's session. Names sort by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Setup:
    """What an engine was made from, besides the settings' texts.

    `assets`: the venue's number of each symbol, by which orders are written; None where they are not signed.
    `user`: whose account's frames were heard. `ledger`: the file, by which runs of one ledger find each other.
    """

    ledger: str
    engine: EngineSettings
    universe: tuple[Instrument, ...]
    assets: dict[str, int] | None
    vault: str | None
    user: str | None
    ahead_limit_ms: int
    strategy: str
    overrides: OverridesText


def setup_to_plain(setup: Setup) -> dict[str, Any]:
    found: dict[str, Any] = plain(setup, exact=True)
    return found


def setup_of(manifest: Manifest) -> Setup:
    """Raises `SessionDamaged` where the manifest does not say enough."""
    try:
        setup: Setup = codec_of(Setup, exact=True).decode(dict(manifest.setup))
    except ValueError as error:
        raise SessionDamaged("manifest.json", f"its setup cannot be read: {error}") from error
    return setup


def open_record(
    name: str,
    configuration: Configuration,
    connection: VenueConnection,
    engine: EngineSettings,
    alerts: Alerts,
) -> SessionLog:
    """The record of a session that begins now."""
    settings = configuration.settings
    if not settings.record:
        return NoRecord()
    signs = connection.account is not None
    setup = Setup(
        ledger=str(settings.db_path),
        engine=engine,
        universe=connection.universe.instruments,
        assets=dict(connection.asset_of) if signs else None,
        vault=settings.vault_address,
        user=connection.account,
        ahead_limit_ms=FeedSettings().ahead_limit_ms,
        strategy=settings.strategy,
        overrides=configuration.first,
    )
    manifest = Manifest(
        session=name,
        origin="daemon",
        began_ms=connection.clock.now_ms(),
        previous=_session_before(settings.sessions_dir, str(settings.db_path)),
        versions=versions(),
        settings=configuration.texts,
        setup=setup_to_plain(setup),
    )
    limits = SessionLimits(
        segment_bytes=settings.session_segment_mb << 20, cap_bytes=int(settings.sessions_cap_gb * 10**9)
    )
    return _writer(settings.sessions_dir / name, manifest, alerts, limits, connection.clock.now_ms, connection)


def _writer(
    folder: Path,
    manifest: Manifest,
    alerts: Alerts,
    limits: SessionLimits,
    now_ms: Callable[[], int],
    connection: VenueConnection,
) -> SessionLog:
    log = SessionWriter(folder, manifest, alerts, entry_to_plain, limits, now_ms)
    if connection.exchanges is not None:
        connection.exchanges.log = log
    return log


def _session_before(sessions_dir: Path, ledger: str) -> str | None:
    """The newest session of the same ledger; one that cannot be read is none."""
    for folder in reversed(session_folders(sessions_dir)):
        try:
            manifest = SessionReader(folder).manifest
        except SessionError:
            continue
        if manifest.setup.get("ledger") == ledger:
            return manifest.session
    return None


def versions() -> dict[str, str]:
    """What decisions may depend on besides our own code, and that."""
    found = {"ai-quant": _own_version(), "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _own_version() -> str:
    """Of the installed package, or of the checkout that this is."""
    try:
        return version("ai-quant")
    except PackageNotFoundError:
        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])
