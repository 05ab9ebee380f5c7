"""Chance as a function of its key: hashes, and smooth noise made from them.

The simulated market must give the same bits whatever was asked before, in whatever batch,
on whatever machine. So nothing here keeps a state, and only exactly rounded arithmetic is
used (integers, + - * /, whole powers of two): numpy's own exp, sin and sums may differ in
the last bit between processors and between array shapes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from domain.candles import FloatColumn, IntColumn

HashColumn = npt.NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, the step of the SplitMix64 generator
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_LOW_32 = np.uint64(0xFFFFFFFF)
_LOW_16 = np.uint64(0xFFFF)
_PAIRS_OF_16 = np.uint64(0x0000FFFF0000FFFF)

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # the top bits of ln 2: a whole number of octaves times it is exact
_LN2_LOW = 1.9082149292705877e-10
_EXP_DEGREE = 13


def hashed(keys: HashColumn, counter: IntColumn | int) -> HashColumn:
    """Mix each key with a counter into 64 evenly spread bits (SplitMix64's finaliser)."""
    mixed: HashColumn = keys + np.asarray(counter, dtype=np.int64).astype(np.uint64) * _STEP
    mixed ^= mixed >> np.uint64(30)
    mixed *= _MIX_A
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_B
    mixed ^= mixed >> np.uint64(31)
    return mixed


def bits_16(hashes: HashColumn, place: int) -> IntColumn:
    """One of the four 16-bit numbers inside each hash (place 0 to 3)."""
    return ((hashes >> np.uint64(16 * place)) & _LOW_16).astype(np.int64)


def uniform(hashes: HashColumn) -> FloatColumn:
    """Evenly spread over [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))


def bell(hashes: HashColumn) -> FloatColumn:
    """Nearly normal, mean 0 and deviation 1, bounded by ±3.47: four 16-bit parts added up."""
    pairs = (hashes & _PAIRS_OF_16) + ((hashes >> np.uint64(16)) & _PAIRS_OF_16)
    total = (pairs & _LOW_32) + (pairs >> np.uint64(32))
    return (total.astype(np.float64) - 131_070.0) * (1.0 / 37_837.2)


def value_noise(keys: HashColumn, time: FloatColumn, periods: FloatColumn, phases: FloatColumn) -> FloatColumn:
    """Smooth random curves: a heavy-tailed value at every multiple of the period, eased in between.

    `keys` and `phases` are (curve, owner), `periods` one per curve, `time` is (owner or 1,
    moment) and roughly ordered; the answer is (curve, owner, moment). Each curve is bounded
    (±6.6), has mean 0 and a deviation near 1 at its lattice points, and is defined for every
    time, also negative.
    """
    turns = (time + phases[:, :, None]) / periods[:, None, None]
    cell = np.floor(turns)
    fraction = turns - cell
    first = cell.min(axis=-1, keepdims=True)
    place = (cell - first).astype(np.intp)
    # Neighbouring moments share lattice points: each is drawn once, then looked up.
    lattice = first.astype(np.int64) + np.arange(int(place.max()) + 2)
    values = _heavy(bell(hashed(keys[:, :, None], lattice)))
    flat = values.ravel()
    row = place + np.arange(0, flat.size, lattice.shape[-1]).reshape(*cell.shape[:2], 1)
    before = flat[row]
    fraction *= fraction * (3.0 - 2.0 * fraction)
    curves: FloatColumn = before + (flat[row + 1] - before) * fraction
    return curves


def weighted_sum(curves: FloatColumn, weights: FloatColumn) -> FloatColumn:
    """Add up curves, one weight each, in order (`np.sum` may change its order with the shape)."""
    total: FloatColumn = np.add.accumulate(curves * weights[:, None, None], axis=0)[-1]
    return total


def exact_exp(x: FloatColumn) -> FloatColumn:
    """e^x to about 1e-15, by arithmetic that is the same everywhere."""
    octaves = np.rint(x * _LOG2_E)
    rest = (x - octaves * _LN2_HIGH) - octaves * _LN2_LOW
    series = np.ones_like(rest)
    for term in range(_EXP_DEGREE, 0, -1):
        series = series * rest / term + 1.0
    result: FloatColumn = np.ldexp(series, octaves.astype(np.int32))
    return result


def _heavy(bells: FloatColumn) -> FloatColumn:
    """Fatten the tails: most values shrink a little and the rare large ones grow."""
    return bells * (0.7 + 0.1 * bells * bells)
