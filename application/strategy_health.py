"""StrategyHealth: a symbol whose analyses fail one after another takes no entries until somebody has looked.

An analysis fails when a strategy raises, overruns, or says what cannot be used. One failure costs one decision; three
candles in a row, and its entries are off. A good answer afterwards does not put them on again: code that fails now and
then is not to be trusted with money. A new config does, an operator's `resume`, or a restart. Exits never ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.step import Step
from domain.effects import Alert
from domain.gating import GateResult, truth_gate

MOST_FAILURES = 3
"""Candles in a row that a symbol's analysis may fail on before its entries are off."""

_NAMED = 5
"""Symbols that an alert names; how many more there are it says."""


@dataclass(slots=True)
class _Failing:
    in_a_row: int
    open_ms: int


class StrategyHealth:
    """What follows from events alone; a session begins with everybody healthy."""

    def __init__(self) -> None:
        self._failing: dict[str, _Failing] = {}
        self._disabled: dict[str, str] = {}

    @property
    def disabled(self) -> Mapping[str, str]:
        """By symbol, the failure that was one too many."""
        return self._disabled

    def take(self, step: Step, asked: Sequence[str], failures: Mapping[str, str], open_ms: int) -> None:
        """Count what came of the symbols of one close: those in `failures` failed, with the reason, the others did not.

        A candle counts once, however often it is told of.
        """
        for symbol in [each for each in self._failing if each in asked and each not in failures]:
            if self._failing[symbol].open_ms < open_ms:
                del self._failing[symbol]
        newly = {}
        for symbol, why in failures.items():
            failing = self._failing.setdefault(symbol, _Failing(0, open_ms - 1))
            if failing.open_ms >= open_ms:
                continue
            failing.in_a_row, failing.open_ms = failing.in_a_row + 1, open_ms
            if failing.in_a_row >= MOST_FAILURES and symbol not in self._disabled:
                newly[symbol] = why
        if newly:
            self._disabled |= newly
            step.effects.append(Alert("strategy_disabled", _told(newly)))

    def gates(self, symbol: str) -> list[GateResult]:
        """The gate that refuses a disabled symbol; none for the others."""
        why = self._disabled.get(symbol)
        return (
            [] if why is None else [truth_gate("strategy_healthy", False, why, f"no {MOST_FAILURES} failures in a row")]
        )

    def clear(self) -> None:
        """Somebody has looked, or changed something: everybody begins anew."""
        self._failing.clear()
        self._disabled.clear()


def _told(newly: Mapping[str, str]) -> str:
    symbols = sorted(newly)
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    return (
        f"{', '.join(symbols[:_NAMED])}{more}: {MOST_FAILURES} analyses in a row have failed, no entries until "
        f"`./aiq resume`, a new config or a restart; exits go on. {symbols[0]}: {newly[symbols[0]]}"
    )
