"""The ledger: what the daemon must never forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.facts import CandlesSkipped, DecisionsRecorded, LedgerFact, LedgerState


class StorageError(Exception):
    """We can no longer remember; trading stops. The message names file, cause and what to do."""


class LedgerRefused(Exception):
    """The ledger belongs to another (mode, network, account), or another process holds it."""


class LedgerHeld(LedgerRefused):
    """Another process is writing this ledger; the message names its process id."""


class Ledger(Protocol):
    """Durable facts of one (mode, network, account), written by one process."""

    def load(self) -> LedgerState:
        """The state that all committed facts add up to. Raises `StorageError` when damaged."""
        ...

    def commit(self, facts: Sequence[LedgerFact]) -> None:
        """Write facts in order, in one transaction: all of them or none, durable on return.

        A second intent under one key, or a second fill under one trade id, is a bug of the
        caller and raises `StorageError`; nothing is written. Called from one thread at a time.
        """
        ...

    def digest(self) -> str:
        """Hash over the chain of all committed facts, in order."""
        ...

    def close(self) -> None: ...


class DecisionLog(Protocol):
    """Every analysis with its reason. Bounded: the oldest are dropped; losing it loses no money."""

    def append(self, decisions: Sequence[DecisionsRecorded]) -> None:
        """Keep these decisions. Raises `StorageError` when they cannot be kept."""
        ...

    def note_skipped(self, skipped: Sequence[CandlesSkipped]) -> None:
        """Keep which candles were not analysed, and why; bounded like decisions. Raises `StorageError`."""
        ...

    def close(self) -> None: ...
