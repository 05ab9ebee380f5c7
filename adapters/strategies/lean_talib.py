"""Importing TA-Lib without what it would bring along.

TA-Lib imports pandas and polars wherever they are installed, to accept their series: half a
second and 60 MiB for nothing, where only arrays are handed to it.
"""

from __future__ import annotations

import importlib
import sys

_FRAME_LIBRARIES = ("polars", "pandas")


def import_lean_talib() -> None:
    """Import TA-Lib as if no library of frames were installed. Does nothing where it is imported already.

    Not for a process that runs a user's strategy: that may hand it pandas series.
    """
    if "talib" in sys.modules:
        return
    before = {name: sys.modules[name] for name in _FRAME_LIBRARIES if name in sys.modules}
    try:
        for name in _FRAME_LIBRARIES:
            sys.modules[name] = None  # type: ignore[assignment]  # the import system's own sign for "not there"
        importlib.import_module("talib")
    finally:
        for name in _FRAME_LIBRARIES:
            del sys.modules[name]
        sys.modules.update(before)
