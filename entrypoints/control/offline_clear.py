"""Opening the kill latch of a ledger that no daemon writes."""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import replace

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from adapters.sqlite.ledger_look import look_at_ledger
from config.settings import Settings
from config.variables import Mode, Network
from domain.facts import OperatorActed, RiskChanged
from domain.operator import OperatorVerb
from domain.risk import Latch, opened
from entrypoints.container import account_name
from entrypoints.control.target import Target
from entrypoints.local_market import local_market


def clear_offline(target: Target, reason: str) -> str:
    """Open the latch in the ledger itself, and say what came of it.

    The peak that a drawdown is counted from is forgotten with it, as a running daemon would: the next start begins
    with the equity it finds. Raises `LedgerHeld` when another process writes the ledger.
    """
    look = look_at_ledger(target.ledger)
    if look is None:
        return f"{target.ledger}: there is no ledger yet, and so no latch"
    now_ms = _market_now_ms(target.settings)
    identity = look.identity or _identity(target.settings)
    ledger = SqliteLedger(target.ledger, identity, created_ms=now_ms, chance=random.SystemRandom())
    try:
        state = ledger.load().risk
        if state.latch is Latch.OPEN:
            return "the kill latch was open"
        answer = f"the kill latch is open again; it was {state.latch.value}: {state.latch_why}"
        act = OperatorActed(uuid.uuid4().hex, OperatorVerb.KILL_CLEAR.value, None, "cli", reason, True, answer, now_ms)
        ledger.commit([act, RiskChanged(replace(opened(state, None), peak_equity_usd=None), now_ms)])
        return answer
    finally:
        ledger.close()


def _identity(settings: Settings) -> LedgerIdentity:
    return LedgerIdentity(settings.mode.value, settings.network.value, account_name(settings))


def _market_now_ms(settings: Settings) -> int:
    """The time that a daemon would write: a paper account on a market of our own lives in its time."""
    is_own = settings.mode is Mode.PAPER and settings.network is Network.LOCAL and settings.venue_url is None
    return local_market(settings).clock().now_ms() if is_own else time.time_ns() // 1_000_000
