"""Where files lie that belong to a ledger: beside it, named after it."""

from __future__ import annotations

from pathlib import Path

from config.settings import Settings


def decisions_path(settings: Settings) -> Path:
    """Every decision, with retention; losing it loses no money."""
    return settings.db_path.with_suffix(".decisions.sqlite")


def exchange_path(settings: Settings) -> Path:
    """What the simulated exchange of a paper account remembers."""
    return settings.db_path.with_suffix(".exchange.json")
