"""Fees: the venue's rates, cut to six decimals."""

from decimal import Decimal

from domain.fees import FeeSchedule


def fee(price: str, size: str, *, crossed: bool, schedule: FeeSchedule | None = None) -> Decimal:
    return (schedule or FeeSchedule()).fee(Decimal(price), Decimal(size), crossed=crossed)


def test_a_taker_pays_4_5_and_a_maker_1_5_basis_points() -> None:
    assert fee("100", "10", crossed=True) == Decimal("0.45")
    assert fee("100", "10", crossed=False) == Decimal("0.15")


def test_a_fee_is_cut_not_rounded_to_six_decimals() -> None:
    assert fee("84143", "0.00001", crossed=True) == Decimal("0.000378")  # 0.0003786435
    assert fee("1", "0.001", crossed=True) == Decimal("0")


def test_a_rebate_is_negative_and_cut_toward_zero() -> None:
    rebate = FeeSchedule(maker=Decimal("-0.00003"))
    assert fee("84143", "0.00001", crossed=False, schedule=rebate) == Decimal("-0.000025")  # -0.0000252429
    assert fee("84143", "0.00001", crossed=True, schedule=rebate) == Decimal("0.000378")
