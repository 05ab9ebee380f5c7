"""The scripts ./run, ./aiq and ./test, tried out on a checkout of their own whose locks are empty."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["run", "test", "aiq", "requirements/refresh", ".ci/run"]

# Stands in for uv: as quick, and it counts what it was asked for.
UV = f"""#!/bin/sh
echo "$1 $2" >>"$UV_LOG"
[ "$1" = venv ] || exit 0
for last; do :; done
exec {sys.executable} -m venv --without-pip "$last"
"""

# Says which code ran, with what, from where; a real entrypoint in miniature.
ENTRYPOINT = """
import sys, pathlib, config
print(pathlib.Path(config.__file__).parent.parent, pathlib.Path.cwd(), *sys.argv[1:], sep="|")
"""


class Checkout:
    """A copy of the scripts with stub entrypoints, a stub uv, and nothing installed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "our checkout"
        self.uv_log = folder / "uv.log"
        self.bin = folder / "bin"
        for name in ("run", "aiq", "test", "requirements/environment.sh"):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod(0o755)
        for name in ("run", "test"):
            self.lock(name).write_text("# nothing to install\n")
        for package, module in (("config", "__init__"), ("entrypoints", "daemon"), ("entrypoints", "cli")):
            (self.root / package).mkdir(exist_ok=True)
            (self.root / package / f"{module}.py").write_text("" if package == "config" else ENTRYPOINT)
        (self.root / "pytest.py").write_text("import sys; print('pytest', *sys.argv[1:])")
        self.bin.mkdir()
        for tool in ("dirname", "readlink", "cmp", "cp"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.command("uv", UV)
        self.command("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')

    def lock(self, name: str) -> Path:
        return self.root / "requirements" / f"{name}.lock"

    def command(self, name: str, text: str) -> None:
        """Put a command on the PATH, which holds nothing else but the few tools that the scripts call."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self, script: str, *arguments: str, cwd: Path | None = None, **extra: str) -> "Started":
        return Started(
            subprocess.Popen(
                ["/bin/sh", self.root / script, *arguments],
                cwd=cwd or self.root,
                env={"PATH": str(self.bin), "UV_LOG": str(self.uv_log), **extra},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def uv_calls(self) -> list[str]:
        return self.uv_log.read_text().splitlines() if self.uv_log.exists() else []


class Started:
    """A script that is running."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def result(self) -> tuple[int, str, str]:
        """Wait, then return its exit code and what it wrote to stdout and stderr."""
        out, err = self._process.communicate()
        return self._process.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_may_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("script", [*SCRIPTS[:-1], "requirements/environment.sh"])
def test_a_script_is_plain_posix_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-n", ROOT / script], check=True)


def test_the_first_start_sets_up_and_the_second_does_not(checkout: Checkout) -> None:
    status, out, err = checkout.start("run", "--one", "two words").result()
    assert (status, out) == (0, f"{checkout.root}|{checkout.root}|--one|two words\n")
    assert "run: setting up .venv from requirements/run.lock" in err
    assert checkout.start("aiq", "why", "BTC").result() == (0, f"{checkout.root}|{checkout.root}|why|BTC\n", "")
    assert checkout.uv_calls() == ["venv --quiet", "pip install"]


def test_the_callers_folder_stays_and_cannot_shadow_ours(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "config").mkdir(parents=True)
    for name in ("config/__init__.py", "pathlib.py"):
        (elsewhere / name).write_text("raise SystemExit('the wrong file was imported')")
    (elsewhere / "aiq").symlink_to(checkout.root / "aiq")
    for script in (checkout.root / "aiq", elsewhere / "aiq"):
        _, out, _ = checkout.start(str(script), "backtesting", "--candles", "x.parquet", cwd=elsewhere).result()
        assert out == f"{checkout.root}|{elsewhere}|backtesting|--candles|x.parquet\n"


def test_a_changed_lock_is_installed_afresh(checkout: Checkout) -> None:
    checkout.start("run").result()
    checkout.lock("run").write_text("# another set\n")
    checkout.start("run").result()
    assert checkout.uv_calls() == ["venv --quiet", "pip install"] * 2


def test_the_test_lock_is_added_to_the_run_lock_and_serves_it(checkout: Checkout) -> None:
    checkout.start("run").result()
    assert checkout.start("test", "tests/unit", "-x").result()[1] == "pytest tests/unit -x\n"
    checkout.start("run").result()
    assert checkout.uv_calls() == ["venv --quiet", "pip install", "pip install"]


def test_two_first_starts_at_once_set_up_once(checkout: Checkout) -> None:
    started = [checkout.start("run"), checkout.start("aiq"), checkout.start("run")]
    assert [one.result()[0] for one in started] == [0, 0, 0]
    assert checkout.uv_calls() == ["venv --quiet", "pip install"]


def test_an_installation_that_failed_is_taken_up_again(checkout: Checkout) -> None:
    checkout.command("uv", UV.replace("|| exit 0", '|| { echo "no network" >&2; exit 7; }'))
    status, out, err = checkout.start("run").result()
    assert (status, out) == (1, "")
    assert "no network\nrun: the packages could not be installed" in err
    checkout.command("uv", UV)
    assert checkout.start("run").result()[0] == 0


def test_without_uv_the_locks_are_installed_by_pip(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    status, out, err = checkout.start("run").result()
    assert (status, out) == (0, f"{checkout.root}|{checkout.root}\n"), err
    assert checkout.start("run").result()[2] == ""


def test_no_python_at_all_is_explained(checkout: Checkout) -> None:
    checkout.command("python3", "#!/bin/sh\nexit 127\n")
    status, out, err = checkout.start("run").result()
    assert (status, out) == (3, "")
    assert err.startswith("run: no Python from 3.11 to 3.14 was found.")


def test_a_named_python_that_does_not_fit_is_refused_rather_than_replaced(checkout: Checkout) -> None:
    checkout.command("python2", "#!/bin/sh\nexit 1\n")
    status, _, err = checkout.start("run", PYTHON="python2").result()
    assert (status, err) == (3, "run: PYTHON=python2 is not a Python from 3.11 to 3.14.\n")


def test_a_missing_venv_module_is_explained_with_its_debian_package(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    checkout.command("python3", f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    status, _, err = checkout.start("run").result()
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert (status, err) == (3, f"run: python3 has no venv module. On Debian or Ubuntu: apt install {package}\n")
