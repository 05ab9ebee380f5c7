"""One live daemon per account: a lock beside the ledger's own, for two ledgers would not know of each other.

Two daemons on one account each undo what the other does. Only who can send takes it: dry runs go beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.sqlite.writer_lock import WriterLock, writer_of
from config.settings import Settings
from config.variables import Mode, Network
from entrypoints.container import account_name
from ports.ledger import LedgerHeld


def account_lock_path(settings: Settings) -> Path:
    """What stands for an account: `live-<network>-<account>` in the user folder; the lock adds its suffix."""
    account = re.sub(r"[^0-9a-z_]", "_", account_name(settings))
    return settings.user_dir / f"live-{settings.network.value}-{account}"


@contextmanager
def account_held(settings: Settings) -> Iterator[None]:
    """Hold the configured account as long as this lasts. Raises `LedgerHeld` when another process has it."""
    if not _is_shared(settings):
        yield
        return
    path = account_lock_path(settings)
    try:
        lock = WriterLock(path)
    except LedgerHeld:
        raise _held(settings, writer_of(path) or "unknown") from None
    try:
        yield
    finally:
        lock.release()


def refuse_held_account(settings: Settings) -> None:
    """Look whether another process has the account, and change nothing."""
    holder = writer_of(account_lock_path(settings)) if _is_shared(settings) else None
    if holder is not None:
        raise _held(settings, holder)


def _is_shared(settings: Settings) -> bool:
    """Whether another process could send for this account too. A rehearsal has a venue of its own."""
    is_rehearsal = settings.network is Network.LOCAL and settings.venue_url is None
    return settings.mode is Mode.LIVE and not is_rehearsal


def _held(settings: Settings, holder: str) -> LedgerHeld:
    return LedgerHeld(
        f"another process (pid {holder}) trades on {account_name(settings)} ({settings.network.value}), with a ledger "
        "of its own. Two would undo each other's orders. Stop that one first."
    )
