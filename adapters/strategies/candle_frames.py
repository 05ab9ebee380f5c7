"""Candle windows as pandas frames, in the columns that user strategies know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from domain.candles import CandleWindow, close_ms_of

if TYPE_CHECKING:
    import pandas as pd


def frame_of(window: CandleWindow) -> pd.DataFrame:
    """A frame of its own: oldest first, `timestamp` is the open and `T` the close time in UTC milliseconds."""
    import pandas as pd

    return pd.DataFrame(
        {
            "timestamp": window.open_ms.copy(),
            "T": window.open_ms + (close_ms_of(0, window.interval)),
            "s": window.symbol,
            "i": window.interval.value,
            "Open": window.open.copy(),
            "High": window.high.copy(),
            "Low": window.low.copy(),
            "Close": window.close.copy(),
            "Volume": window.volume.copy(),
        },
        index=np.arange(len(window)),
    )
