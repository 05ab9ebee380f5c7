"""Answering whoever asked something of the running daemon."""

from __future__ import annotations

from typing import Protocol


class Operators(Protocol):
    def answer(self, request_id: str, text: str, *, is_done: bool) -> None:
        """Tell whoever sent the request what came of it; what it did is durable. Never raises and never waits: they
        may have gone."""
        ...


class NoOperators:
    """Nobody can ask: a backtest, a replay."""

    def answer(self, request_id: str, text: str, *, is_done: bool) -> None:
        return None
