"""The locks: what is tested is what ships, byte for byte, whichever index it comes from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["run", "test"]


def requirements(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Read a lock as {name: (pin with its marker, hashes)}."""
    joined = (ROOT / "requirements" / f"{lock}.lock").read_text().replace("\\\n", " ")
    entries = {}
    for line in joined.splitlines():
        pin, *hashes = re.split(r"\s+--hash=", line.strip())
        entries[pin.partition("==")[0]] = (pin, hashes)
    return entries


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_no_address_and_no_option(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_once_and_hashed(lock: str) -> None:
    entries = requirements(lock)
    assert entries
    for pin, hashes in entries.values():
        assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .+)?", pin)
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)
    pins = (ROOT / "requirements" / f"{lock}.lock").read_text().count("==")
    markers = sum(pin.count("==") - 1 for pin, _ in entries.values())
    assert pins == len(entries) + markers


def test_the_run_lock_is_part_of_the_test_lock_with_the_same_pins_and_hashes() -> None:
    run, test = requirements("run"), requirements("test")
    assert {name: test.get(name) for name in run} == run


@pytest.mark.parametrize(("lock", "extras"), [("run", []), ("test", ["test", "lint"])])
def test_a_lock_names_every_direct_dependency(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [item for extra in extras for item in project["optional-dependencies"][extra]]
    names = {re.split(r"[^A-Za-z0-9.-]", item)[0].lower().replace(".", "-") for item in wanted}
    assert names <= requirements(lock).keys()
