"""Nonces rise whatever happens: clock steps, restarts, crashes, torn writes; and one process at a time has them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hyperliquid.nonces import (
    MAX_AHEAD_MS,
    RESERVED_AHEAD,
    NoncesHeld,
    NonceSource,
    _mark_in,
    _record,
    nonce_path,
)
from domain.intents import next_nonce
from ports.ledger import StorageError
from ports.order_gateway import VenueUnavailable
from tests.daemon_process import PATIENCE_S, ROOT

NOW = 1_790_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return nonce_path(tmp_path / "user", "testnet", "0x" + 40 * "A")


def crash(source: NonceSource) -> None:
    """End it as a killed process would: the kernel lets go, nothing is written."""
    source._release()


def marks(path: Path) -> list[int]:
    content = path.read_bytes()
    return [_mark_in(content[start : start + 32]) for start in (0, 32)]


def test_the_file_is_named_after_network_and_signer(path: Path) -> None:
    assert path.name == "nonces-testnet-0x" + 40 * "a"


def test_a_nonce_is_the_time_or_the_next_after_the_last_and_odd(path: Path) -> None:
    source = NonceSource(path)
    nows = (NOW, NOW, NOW, NOW - 5_000, NOW + 1, NOW + 10, NOW + 13, NOW + 14)
    assert [source.next(now) - NOW for now in nows] == [1, 3, 5, 7, 9, 11, 13, 15]
    source.close()


@given(st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), max_size=60))
def test_attempts_and_the_rest_never_share_a_nonce(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]]
) -> None:
    """Each counts up without asking the other."""
    source, now, last = NonceSource(tmp_path_factory.mktemp("nonces") / "n"), NOW, 0
    used: list[int] = []
    for is_attempt, step in steps:
        now += step
        if is_attempt:
            assert next_nonce(last, now) > last
            last = next_nonce(last, now)
        used.append(last if is_attempt else source.next(now))
    assert len(set(used)) == len(used)
    source.close()


def test_a_crash_begins_above_everything_that_was_reserved(path: Path) -> None:
    source = NonceSource(path)
    given_out = [source.next(NOW) for _ in range(3)]
    crash(source)
    again = NonceSource(path)
    assert again.next(NOW - 60_000) == NOW + RESERVED_AHEAD + 3 > max(given_out)
    crash(again)
    third = NonceSource(path)
    assert third.next(NOW - 60_000) == NOW + 2 * RESERVED_AHEAD + 5
    third.close()


def test_a_clean_end_gives_back_what_was_not_used(path: Path) -> None:
    source = NonceSource(path)
    last = [source.next(NOW) for _ in range(5)][-1]
    source.close()
    source.close()
    again = NonceSource(path)
    assert again.next(NOW) == last + 2
    again.close()


def test_an_end_without_a_nonce_changes_nothing(path: Path) -> None:
    source = NonceSource(path)
    source.next(NOW)
    crash(source)
    before = path.read_bytes()
    NonceSource(path).close()
    assert path.read_bytes() == before


@given(
    st.lists(
        st.tuples(st.integers(-200_000, 200_000), st.sampled_from(["on", "on", "on", "crash", "close"])), max_size=60
    )
)
def test_whatever_the_clock_does_and_however_it_ends_nonces_rise(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.mktemp("nonces") / "n"
    source, now, last = NonceSource(path), NOW, 0
    for step, then in steps:
        now += step
        nonce = source.next(now)
        assert nonce >= now
        assert nonce > last
        assert nonce % 2 == 1, "even ones are those of attempts"
        last = nonce
        if then != "on":
            crash(source) if then == "crash" else source.close()
            source = NonceSource(path)
    source.close()


def test_the_mark_is_on_the_disk_before_a_nonce_above_it_leaves(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = NonceSource(path)
    synced: list[int] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        fsync(handle)
        synced.append(max(marks(path)))

    monkeypatch.setattr(os, "fsync", spy)
    for now in (NOW, NOW + 1, NOW + RESERVED_AHEAD, NOW + RESERVED_AHEAD + 1, NOW + 5 * RESERVED_AHEAD):
        nonce = source.next(now)
        assert synced and synced[-1] >= nonce
    assert len(synced) == 3, "only where the mark moves"
    source.close()


def test_a_disk_that_refuses_gives_no_nonce(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = NonceSource(path)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="No space left"):
            source.next(NOW)
    assert source.next(NOW) == NOW + 1, "the same nonce later, for it never left"
    source.close()


@pytest.mark.parametrize("length", [1, 10, 31])
def test_a_torn_write_leaves_the_mark_before_it_which_no_nonce_has_passed(path: Path, length: int) -> None:
    source = NonceSource(path)
    first = source.next(NOW)
    crash(source)
    content = bytearray(path.read_bytes())
    newest = marks(path).index(max(marks(path)))
    older = (1 - newest) * 32
    content[older : older + length] = _record(NOW + 5 * RESERVED_AHEAD)[:length]
    content[older + length : older + 32] = bytes(32 - length)
    path.write_bytes(content)
    again = NonceSource(path)
    assert again.next(NOW) == NOW + RESERVED_AHEAD + 3 > first
    again.close()


@pytest.mark.parametrize("length", [0, 1, 10, 31])
def test_a_write_that_power_cuts_short_never_harms_the_mark_in_force(
    path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Whichever of the many writes it is."""
    source = NonceSource(path)
    whole = os.pwrite

    def torn(handle: int, record: bytes, place: int) -> int:
        whole(handle, record[:length] + bytes(32 - length), place)
        raise OSError(5, "power")

    used = 0
    for step in range(1, 6):
        used = source.next(NOW + step * 2 * RESERVED_AHEAD)
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", torn)
            with pytest.raises(StorageError, match="power"):
                source.next(used + 2 * RESERVED_AHEAD)
        crash(source)
        source = NonceSource(path)
        assert source.next(NOW) > used
    source.close()


@pytest.mark.parametrize("content", [b"", b"garbage", b"0" * 64, bytes(64), _record(NOW)[:-10]])
def test_damage_is_refused_with_the_way_out(path: Path, content: bytes) -> None:
    NonceSource(path).close()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"damaged.*move the file away.*approve a new agent"):
        NonceSource(path)
    with pytest.raises(StorageError):  # the lock was let go
        NonceSource(path)


def test_a_start_that_was_cut_short_leaves_nothing_that_counts(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(path.name + ".new").write_bytes(b"half")
    source = NonceSource(path)
    assert source.next(NOW) == NOW + 1
    source.close()


def test_far_ahead_of_the_clock_nothing_leaves(path: Path) -> None:
    source = NonceSource(path)
    assert source.next(NOW + MAX_AHEAD_MS) == NOW + MAX_AHEAD_MS + 1
    with pytest.raises(VenueUnavailable, match=r"23\.0 hours ahead of the clock"):
        source.next(NOW)
    assert source.next(NOW + 60_000) == NOW + MAX_AHEAD_MS + 3
    source.close()


def test_only_the_owner_may_use_the_files(path: Path) -> None:
    old = os.umask(0)
    try:
        source = NonceSource(path)
        source.next(NOW)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        crash(source)
        path.chmod(0o644)
        NonceSource(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_second_holder_is_refused_even_in_this_process(path: Path) -> None:
    source = NonceSource(path)
    with pytest.raises(NoncesHeld, match=f"pid {os.getpid()}"):
        NonceSource(path)
    source.close()
    NonceSource(path).close()


def test_a_killed_process_lets_go_and_its_nonces_stay_used(path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom adapters.hyperliquid.nonces import NonceSource\n"
        f"source = NonceSource(Path(sys.argv[1]))\nprint(source.next({NOW}), flush=True)\nsys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        used = int(child.stdout.readline())
        with pytest.raises(NoncesHeld, match=f"pid {child.pid}"):
            NonceSource(path)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=PATIENCE_S)
    source = NonceSource(path)
    assert source.next(NOW) > used
    source.close()


def test_a_link_in_its_place_is_not_followed(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(StorageError):
        NonceSource(path)


def test_after_the_end_there_are_no_nonces(path: Path) -> None:
    source = NonceSource(path)
    source.close()
    with pytest.raises(AssertionError):
        source.next(NOW)
