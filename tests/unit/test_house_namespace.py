"""Our top-level names are common ones: nobody else's package may take their place unnoticed."""

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from entrypoints.namespace_guard import OUR_PACKAGES, refuse_foreign_packages

ROOT = Path(__file__).resolve().parents[2]
# The guard's own package must be ours for it to run at all.
CALL = "from entrypoints.namespace_guard import refuse_foreign_packages as refuse; refuse(); print('started')"


def start(*path: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call the guard in a fresh interpreter whose import path begins with `path`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, root])), "PYTHONSAFEPATH": "1"}
    return subprocess.run([sys.executable, "-c", CALL], env=environment, capture_output=True, text=True, check=False)


def test_our_own_checkout_is_accepted() -> None:
    refuse_foreign_packages()
    assert start().stdout == "started\n"


def test_a_foreign_package_that_comes_first_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("raise SystemExit('a foreign package was imported')")
    result = start(tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert f"config: found {tmp_path / 'config'}; expected {ROOT / 'config'}" in result.stderr
    assert "What to do:" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_foreign_module_that_comes_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "domain.py").touch()
    result = start(tmp_path)
    assert result.returncode == 3
    assert f"domain: found {tmp_path / 'domain.py'}" in result.stderr


def test_a_foreign_folder_without_init_loses_against_our_package(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    assert start(tmp_path).stdout == "started\n"


def test_an_incomplete_checkout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "entrypoints").mkdir()
    for name in ("__init__.py", "namespace_guard.py"):
        (tmp_path / "entrypoints" / name).write_bytes((ROOT / "entrypoints" / name).read_bytes())
    result = start(root=tmp_path)
    assert result.returncode == 3
    assert f"domain: found nothing; expected {tmp_path / 'domain'}" in result.stderr


@pytest.mark.parametrize("name", OUR_PACKAGES)
def test_each_of_our_names_is_a_package_with_an_init(name: str) -> None:
    assert (ROOT / name / "__init__.py").is_file(), "without one, any foreign package of that name would win"


def test_no_installed_distribution_brings_one_of_our_names() -> None:
    intruders = {
        f"{distribution.name}: {file}"
        for distribution in distributions()
        if distribution.name != "ai-quant"
        for file in distribution.files or []
        if file.parts[0].partition(".")[0] in OUR_PACKAGES
    }
    assert not intruders
