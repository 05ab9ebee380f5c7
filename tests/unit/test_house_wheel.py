"""The wheel: installed into an environment of its own, the daemon starts from any folder."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
VERSION: str = PROJECT["project"]["version"]
WHEEL = f"ai_quant-{VERSION}-py3-none-any.whl"
INFO = f"ai_quant-{VERSION}.dist-info"

pytestmark = pytest.mark.xdist_group("wheel")  # one environment serves them all


def build_wheel(folder: Path) -> Path:
    """The project's wheel; where its build backend is not installed (no lock names it), the same files made by hand."""
    if importlib.util.find_spec("hatchling") is not None:
        command = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
        return folder / WHEEL
    files = {
        file.relative_to(ROOT).as_posix(): file.read_bytes()
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    files[f"{INFO}/METADATA"] = f"Metadata-Version: 2.1\nName: ai-quant\nVersion: {VERSION}\n".encode()
    files[f"{INFO}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{INFO}/RECORD"] = "\n".join([*lines, f"{INFO}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder / WHEEL


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what the wheel depends on is lent by this one."""
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python has no ensurepip, so no environment with pip can be made without a network")
    folder = tmp_path_factory.mktemp("wheel")
    made = run(sys.executable, "-P", "-m", "venv", folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "venv" / "bin" / "python"
    arguments = ["--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile"]
    done = run(python, "-P", "-m", "pip", "install", *arguments, build_wheel(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    found = run(python, "-P", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    (Path(found.stdout.strip()) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_daemon_starts_from_any_folder_also_a_hostile_one(python: Path, tmp_path: Path) -> None:
    for name in ("config", "domain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package was imported')")
    done = run(python, "-P", "-m", "entrypoints.daemon", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m entrypoints.daemon" in done.stderr


def test_what_is_installed_brings_the_files_beside_the_code(python: Path, tmp_path: Path) -> None:
    """Migrations, pages and samples: whatever is read while running is in the wheel."""
    place = run(python, "-P", "-c", "import entrypoints; print(entrypoints.__path__[0])", cwd=tmp_path)
    installed = Path(place.stdout.strip()).parent
    assert installed.name == "site-packages" and ROOT not in installed.parents
    for package in PACKAGES:
        ours = {file.relative_to(ROOT) for file in (ROOT / package).rglob("*") if file.is_file()}
        missing = [file for file in ours if "__pycache__" not in file.parts and not (installed / file).is_file()]
        assert missing == []


def test_the_command_line_and_a_short_run_work_from_it(python: Path, tmp_path: Path) -> None:
    shown = run(python, "-P", "-m", "entrypoints.cli", "show-config", "--changed", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    checked = run(python, "-P", "-m", "entrypoints.healthcheck", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (1, "")
    assert f"{tmp_path / 'user_data' / 'sessions'}: nothing has been recorded" in checked.stdout
