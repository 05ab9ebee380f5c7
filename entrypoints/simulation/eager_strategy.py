"""A strategy that wants something now and then, by the seed's dice: what is tested is what becomes of its wishes."""

from __future__ import annotations

import hashlib

import numpy as np

from domain.candles import BoolColumn, CandleBatch, CandleWindow
from domain.confidence import Confidence
from domain.instruments import Universe
from domain.signals import FEATURE_INDEX, NO_GATE, Analyses, FeatureRow
from domain.strategy_config import StrategyBook
from ports.strategy import StrategyJob

_ATR = 0.003
_RUSH_MS = 180_000
_RUSHES = 0.004
_RUSH_SHARE = 0.5
"""Of all spans of three minutes so many are a rush: then so many of all symbols want the same, candle after candle, and
limits have something to refuse."""
_FEATURES = {"adx": 42.0, "adx_slope": 1.0, "atr_slope": 0.1, "rsi": 50.0, "tp_mult": 3.0, "entry_adx_threshold": 20.0}


class EagerStrategy:
    """A pure function of seed, symbol and candle: a restart wants the same."""

    name = "eager"

    def __init__(self, seed: int, entries_per_candle: float) -> None:
        self._seed = seed
        self._share = entries_per_candle
        self._universe: Universe | None = None

    def configure(self, book: StrategyBook, universe: Universe) -> tuple[str, ...]:
        self._universe = universe
        return ()

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None: ...

    def forget(self, symbol_id: int) -> None: ...

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses | StrategyJob:
        ids = batch.ids[decide]
        close = batch.close[decide]
        count = len(ids)
        signal = np.zeros(count, dtype=np.int8)
        confidence = np.zeros(count, dtype=np.int8)
        features = np.zeros((len(FeatureRow._fields), count))
        features[FEATURE_INDEX["close"]] = close
        features[FEATURE_INDEX["atr"]] = close * _ATR
        for name, value in _FEATURES.items():
            features[FEATURE_INDEX[name]] = value
        for name in ("ema_fast", "ema_slow", "ema_macro"):
            features[FEATURE_INDEX[name]] = close
        for place, symbol_id in enumerate(ids.tolist()):
            signal[place], confidence[place] = self._opinion(symbol_id, batch.open_ms)
        sign = np.where(signal == 0, 1, signal)
        features[FEATURE_INDEX["macd_hist"]] = 2.0 * sign
        features[FEATURE_INDEX["macd_hist_1"]] = 1.0 * sign
        wants = signal != 0
        return Analyses(
            ids=ids,
            signal=signal,
            confidence=confidence,
            first_no=np.where(wants, NO_GATE, 0).astype(np.int8),
            features=features,
            gate_names=("dice",),
            gate_values=wants.astype(np.float64)[None, :],
            gate_thresholds=np.ones((1, count)),
            gate_passed=wants[None, :],
        )

    def _opinion(self, symbol_id: int, open_ms: int) -> tuple[int, int]:
        assert self._universe is not None, "a strategy is configured first"
        rush = _dice(f"{self._seed} rush {open_ms // _RUSH_MS}")
        rushes = self._share > 0 and _share_of(rush) < _RUSHES
        dice = _dice(f"{self._seed} {self._universe.symbols[symbol_id]} {open_ms}")
        if _share_of(dice) >= (_RUSH_SHARE if rushes else self._share):
            return 0, 0
        side = (rush if rushes else dice)[4]
        return (1 if side & 1 else -1), int(list(Confidence)[dice[5] % len(Confidence)])


def _dice(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def _share_of(dice: bytes) -> float:
    return int.from_bytes(dice[:4], "big") / 2**32
