"""Where this process finds the agent's key: its settings, and the folder that systemd gives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from adapters.hyperliquid.keys import KeySources
from config.settings import Settings
from config.variables import Network


def key_sources(settings: Settings, environ: Mapping[str, str] = os.environ) -> KeySources:
    """The places that `load_agent_key` looks into."""
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    return KeySources(
        keystore=settings.agent_keystore,
        passphrase_file=settings.agent_keystore_passphrase_file,
        key_file=settings.agent_key_file,
        environment=settings.agent_key,
        credentials=Path(credentials) if credentials else None,
        allow_environment=settings.network is not Network.MAINNET,
    )
