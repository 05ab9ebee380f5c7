"""Reading the configuration at the edge: the real environment, the real working folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from config.load import Configuration, load_configuration, project_root
from config.settings import Settings
from domain.config_events import OverridesText
from entrypoints.output import say


def read_configuration(
    override: Mapping[str, str | None] | None = None, *, tell: Callable[[str], None] = say
) -> Configuration:
    """Settings and overrides as this process finds them; `tell` hears the warnings.

    `override` replaces variables (None leaves them alone): what the command line says beats the
    environment. Raises `ConfigError` with every problem at once.
    """
    return _configuration(override, None, tell)


def read_settings_alone() -> Settings:
    """Settings without what the overrides file says: whoever talks to a running daemon must be able to while that
    file is broken. Raises `ConfigError`."""
    return _configuration(None, OverridesText("overrides", "global: {}\n", "", 0, 0, 0, 0), say).settings


def _configuration(
    override: Mapping[str, str | None] | None, overrides: OverridesText | None, tell: Callable[[str], None]
) -> Configuration:
    environ = dict(os.environ)
    environ.update({name: value for name, value in (override or {}).items() if value is not None})
    cwd, seen_ms = Path.cwd(), int(time.monotonic() * 1000)
    configuration = load_configuration(environ, root=project_root(cwd), cwd=cwd, seen_ms=seen_ms, overrides=overrides)
    for warning in configuration.warnings:
        tell(f"warning: {warning}")
    return configuration
