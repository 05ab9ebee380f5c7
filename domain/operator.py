"""What an operator may ask of a running daemon, in the words of `./aiq`."""

from __future__ import annotations

import enum


class OperatorVerb(enum.Enum):
    """`symbol` of a request names one, or is None for all, where the verb acts on symbols."""

    PAUSE = "pause"
    RESUME = "resume"
    KILL_SOFT = "kill soft"
    KILL_HARD = "kill hard"
    KILL_CLEAR = "kill clear"
    FLATTEN = "flatten"
    FORCE_EXIT = "force-exit"
    CANCEL_ORDERS = "cancel-orders"
    ADOPT = "adopt"
    RELOAD = "reload"

    @property
    def acts_on_symbols(self) -> bool:
        return self in (
            OperatorVerb.FLATTEN,
            OperatorVerb.FORCE_EXIT,
            OperatorVerb.CANCEL_ORDERS,
            OperatorVerb.ADOPT,
        )
