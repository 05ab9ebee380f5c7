"""The venue's fee schedule for perpetuals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

_FEE_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Rates as fractions of notional; a negative maker rate is a rebate. Defaults: the venue's base tier."""

    taker: Decimal = Decimal("0.00045")
    maker: Decimal = Decimal("0.00015")

    def fee(self, price: Decimal, size: Decimal, *, crossed: bool) -> Decimal:
        """Fee of one execution in USD, cut to six decimals as the venue does."""
        rate = self.taker if crossed else self.maker
        return (price * size * rate).quantize(_FEE_STEP, rounding=ROUND_DOWN)


BASE_TIER = FeeSchedule()
