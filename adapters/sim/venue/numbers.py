"""Numbers as the venue writes them: decimal text with at least one decimal, never an exponent."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

USD_STEP = Decimal("0.000001")
RATIO_STEP = Decimal("0.0000000001")


def text(value: Decimal) -> str:
    """`85812` is "85812.0", `0.50` is "0.5", zero of any sign is "0.0"."""
    if not value:
        return "0.0"
    plain = format(value, "f")
    if "." not in plain:
        return plain + ".0"
    plain = plain.rstrip("0")
    return plain + "0" if plain.endswith(".") else plain


def usd(value: Decimal) -> str:
    """A money amount, cut to six decimals."""
    return text(value.quantize(USD_STEP, rounding=ROUND_DOWN))


def ratio(value: Decimal) -> str:
    """A rate, a return or a derived price, to ten decimals."""
    return text(value.quantize(RATIO_STEP))


def float_text(value: float) -> str:
    """A market's float: its shortest text is the decimal number that it stands for."""
    plain = repr(value)
    return text(Decimal(plain)) if "e" in plain else plain
