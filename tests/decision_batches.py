"""Recorded decisions for tests: a batch of symbols with gates that say different things."""

from __future__ import annotations

import math

import numpy as np

from domain.candles import Interval
from domain.facts import DecisionsRecorded
from domain.gating import GateResult, MarketContext
from domain.signals import NO_GATE, Analyses, FeatureRow
from domain.verdicts import Verdict

GATES = ("adx_rising", "bb_width", "atr_floor")
T0 = 1_700_000_000_000


def decisions(
    symbols: tuple[str, ...] = ("BTC", "ETH", "SOL"), number: int = 0, gates: tuple[str, ...] = GATES
) -> DecisionsRecorded:
    """The batch `number` of a session.

    The first symbol passes everything and opens; the second is refused by an entry gate; the
    third and all after it fall to the strategy's last gate, one whose threshold is not known.
    """
    count, open_ms = len(symbols), T0 + number * 60_000
    places = np.arange(count)
    refused = places >= 2
    values = np.arange(len(gates) * count, dtype=np.float64).reshape(len(gates), count) + number / 10
    thresholds = np.full((len(gates), count), 0.1)
    thresholds[-1:, refused] = math.nan
    passed = np.ones((len(gates), count), dtype=np.bool_)
    passed[-1:, refused] = False
    signal = np.where(refused, 0, np.where(places == 1, -1, 1)).astype(np.int8)
    return DecisionsRecorded(
        seq=100 + number,
        at_ms=open_ms + 61_000,
        interval=Interval.M1,
        open_ms=open_ms,
        batch_no=0,
        config_digest="c0ffee",
        context=MarketContext(True, 62.5) if number % 2 == 0 else MarketContext(None, None),
        symbols=symbols,
        analyses=Analyses(
            ids=places.astype(np.intp),
            signal=signal,
            confidence=np.where(refused, 0, 2).astype(np.int8),
            first_no=np.where(refused, len(gates) - 1, NO_GATE).astype(np.int8),
            features=np.zeros((len(FeatureRow._fields), count)),
            gate_names=gates,
            gate_values=values,
            gate_thresholds=thresholds,
            gate_passed=passed,
        ),
        signal=signal,
        verdict=np.where(refused, Verdict.NO_SIGNAL, np.where(places == 1, Verdict.REFUSED, Verdict.OPEN)).astype(
            np.int8
        ),
        entry_gates={
            0: [GateResult("regime_breadth", 62.5, 40.0, True), GateResult("max_open_positions", 1, 20, True)],
            1: [
                GateResult("regime_breadth", 62.5, None, True),
                GateResult("confidence", "low", "medium", False),
                GateResult("ssf_macd", math.nan, 0.0, False),
            ],
        },
        intent_ids={0: f"intent-{number}"},
        notes={1: "reversed"},
    )
