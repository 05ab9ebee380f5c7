"""The local venue's nonce rule against the sentence that defines it, kept as the plain list of what was used."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.settings import VenueSettings

DAY = 86_400_000
START = 1_700_000_000_000
SIGNERS = ("0x" + 40 * "1", "0x" + 40 * "2")


@dataclass
class Reference:
    """Every nonce a signer ever used. Slow, and too simple to be wrong."""

    from_start: bool
    used: list[int] = field(default_factory=list)

    def accepts(self, nonce: int, now_ms: int) -> bool:
        kept = sorted(self.used)[-100:]
        low = (START if self.from_start else now_ms) - 2 * DAY
        fits = low < nonce < now_ms + DAY and nonce not in kept
        if fits and len(kept) == 100:
            fits = nonce > kept[0]
        if fits:
            self.used.append(nonce)
        return fits


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """(signer, nonce, time): time rises, in steps up to days; nonces crowd, so that they meet their like."""
    now_ms = START
    made = []
    step = st.one_of(st.integers(0, 3), st.integers(0, 2 * DAY))
    crowd = draw(st.integers(1, 300))
    for _ in range(draw(st.integers(1, 260))):
        now_ms += draw(step) if draw(st.integers(0, 15)) == 0 else 0
        near = st.one_of(
            st.integers(-crowd, crowd),
            st.sampled_from([-2 * DAY - 1, -2 * DAY, -2 * DAY + 1, DAY - 1, DAY, DAY + 1]),
        )
        made.append((draw(st.integers(0, 1)), now_ms + draw(near), now_ms))
    return made


@given(requests(), st.booleans())
def test_the_rule_of_the_hundred_highest(asked: list[tuple[int, int, int]], from_start: bool) -> None:
    signers = Signers({}, VenueSettings(nonces_from_start=from_start), START)
    references = [Reference(from_start) for _ in SIGNERS]
    for signer, nonce, now_ms in asked:
        refusal = signers.use_nonce(SIGNERS[signer], nonce, now_ms)
        assert (refusal is None) == references[signer].accepts(nonce, now_ms), refusal
        assert refusal is None or str(nonce) in refusal


@given(st.lists(st.integers(START - 150, START + 150), min_size=101, max_size=400))
def test_a_nonce_is_never_taken_twice(nonces: list[int]) -> None:
    signers = Signers({}, VenueSettings(), START)
    taken = [nonce for nonce in nonces if signers.use_nonce(SIGNERS[0], nonce, START) is None]
    assert len(taken) == len(set(taken))


@given(st.permutations(range(START, START + 100)))
def test_a_hundred_nonces_may_come_in_any_order(nonces: list[int]) -> None:
    signers = Signers({}, VenueSettings(), START)
    assert all(signers.use_nonce(SIGNERS[0], nonce, START) is None for nonce in nonces)
