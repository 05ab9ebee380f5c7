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


def would_path(settings: Settings) -> Path:
    """The unsigned actions that dry_live would have sent, one JSON line each."""
    return settings.db_path.with_suffix(".would.jsonl")


def socket_path(ledger: Path) -> Path:
    """Where the daemon listens that writes this ledger."""
    return ledger.with_suffix(".sock")


def failures_path(settings: Settings) -> Path:
    """The runs that failed shortly before, by which a daemon that cannot live does not start for ever."""
    return settings.db_path.with_suffix(".failures.json")


def drift_path(settings: Settings) -> Path:
    """Samples of what the venue said in words that this version does not know."""
    return settings.user_dir / "drift"
