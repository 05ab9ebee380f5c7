"""How often a daemon looks at things though nothing happens."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.hyperliquid.feed_watch import EVERY_S as FEED_LOOK_S
from application.account_watch import EVERY_S as ACCOUNT_LOOK_S
from application.candle_audit import AUDIT_EVERY_MS
from application.supervisor import CONFIG_POLL_S, TIMER_S


@dataclass(frozen=True, slots=True)
class Pauses:
    """Between two looks. A simulation of whole days pays for each of them, and makes them longer."""

    timer_s: float = TIMER_S
    config_poll_s: float = CONFIG_POLL_S
    feed_look_s: float = FEED_LOOK_S
    audit_ms: int = AUDIT_EVERY_MS
    account_look_s: float = ACCOUNT_LOOK_S


USUAL = Pauses()
