"""`userFees`: the venue's fee schedule, an account's own rates, and what it traded lately (§3.15, §10.8)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.numbers import ratio, text
from domain.fees import FeeSchedule

DAY_MS = 86_400_000
DAYS_SHOWN = 15
ZERO = Decimal(0)
SPOT_TAKER, SPOT_MAKER = "0.0007", "0.0004"

_VIP_KEYS = ("ntlCutoff", "cross", "add", "spotCross", "spotAdd")
_VIP = (
    ("5000000.0", "0.0004", "0.00012", "0.0006", "0.0003"),
    ("25000000.0", "0.00035", "0.00008", "0.0005", "0.0002"),
    ("100000000.0", "0.0003", "0.00004", "0.0004", "0.0001"),
    ("500000000.0", "0.00028", "0.0", "0.00035", "0.0"),
    ("2000000000.0", "0.00026", "0.0", "0.0003", "0.0"),
    ("7000000000.0", "0.00024", "0.0", "0.00025", "0.0"),
)
_MARKET_MAKERS = (("0.005", "-0.00001"), ("0.015", "-0.00002"), ("0.03", "-0.00003"))
_STAKING = (("0.0001", "0.05"), ("0.001", "0.1"), ("0.01", "0.15"), ("0.1", "0.2"), ("1.0", "0.3"), ("5.0", "0.4"))


def user_fees(
    account: VenueAccount | None, fees: FeeSchedule, day_notional: Decimal, now_ms: int
) -> Mapping[str, object]:
    """Everybody pays the base rates; `day_notional` is the venue's volume of the last 24 hours."""
    taker, maker = ratio(fees.taker), ratio(fees.maker)
    return {
        "dailyUserVlm": _days(account, day_notional, now_ms),
        "feeSchedule": {
            "cross": taker,
            "add": maker,
            "spotCross": SPOT_TAKER,
            "spotAdd": SPOT_MAKER,
            "tiers": {
                "vip": [dict(zip(_VIP_KEYS, tier, strict=True)) for tier in _VIP],
                "mm": [{"makerFractionCutoff": share, "add": rate} for share, rate in _MARKET_MAKERS],
            },
            "referralDiscount": "0.04",
            "stakingDiscountTiers": [{"bpsOfMaxSupply": held, "discount": discount} for held, discount in _STAKING],
        },
        "userCrossRate": taker,
        "userAddRate": maker,
        "userSpotCrossRate": SPOT_TAKER,
        "userSpotAddRate": SPOT_MAKER,
        "activeReferralDiscount": "0.0",
        "trial": None,
        "feeTrialEscrow": "0.0",
        "nextTrialAvailableTimestamp": None,
        "stakingLink": None,
        "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
    }


def _days(account: VenueAccount | None, day_notional: Decimal, now_ms: int) -> list[dict[str, object]]:
    """Today and the days before, oldest first. The venue's own volume is kept of the last 24 hours only."""
    today = now_ms // DAY_MS
    taken, made = dict.fromkeys(range(today - DAYS_SHOWN + 1, today + 1), ZERO), dict[int, Decimal]()
    made.update(taken)
    for fill in account.fills if account is not None else ():
        day, volumes = fill.time_ms // DAY_MS, taken if fill.crossed else made
        if day in volumes:
            volumes[day] += fill.price * fill.size
    return [
        {
            "date": (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat(),
            "userCross": text(taken[day]),
            "userAdd": text(made[day]),
            "exchange": ratio(day_notional if day == today else ZERO),
        }
        for day in taken
    ]
