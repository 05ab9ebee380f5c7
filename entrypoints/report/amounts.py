"""Amounts as text, straight from `Decimal`: what the page shows is never what a float made of it."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from domain.value_text import decimal_text

CENT = Decimal("0.01")
SIGNIFICANT_DIGITS = 7
"""Of a price that is an average. The venue's own prices have five, or are whole numbers."""


def fixed(value: Decimal, step: Decimal) -> str:
    """Round to a step, half to even; zero has no sign."""
    rounded = value.quantize(step, ROUND_HALF_EVEN)
    return format(abs(rounded) if rounded == 0 else rounded, "f")


def money(usd: Decimal) -> str:
    return fixed(usd, CENT)


def percent(part: Decimal, whole: Decimal) -> str | None:
    """Say how much of `whole` is `part`, in percent; None where there is no whole."""
    return fixed(part * 100 / whole, CENT) if whole > 0 else None


def growth(start: Decimal, end: Decimal) -> str | None:
    """The return from `start` to `end`, in percent."""
    return percent(end - start, start)


def price(value: Decimal) -> str:
    """A price or an average of prices: whole digits always, seven significant ones at most."""
    if value == 0:
        return "0"
    finest = min(0, value.adjusted() + 1 - SIGNIFICANT_DIGITS)
    return decimal_text(value.quantize(Decimal(1).scaleb(finest), ROUND_HALF_EVEN))
