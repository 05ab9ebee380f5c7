"""The rules that tests/conftest.py lays on every test, tried out on small test files of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

SKIPPING = """
import pytest, unittest

def test_calls_skip():
    pytest.skip("call")

@pytest.mark.skipif(True, reason="mark")
def test_skipped_by_mark():
    pass

@pytest.fixture
def absent():
    pytest.skip("fixture")

def test_skipped_by_fixture(absent):
    pass

class TestOld(unittest.TestCase):
    def test_old(self):
        self.skipTest("unittest")

@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert False

@pytest.mark.xfail(run=False)
def test_not_even_run():
    assert False
"""

RANDOM = """
import pytest
from hypothesis import given, settings, strategies

@settings(max_examples=3)
@given(strategies.integers(min_value=0, max_value=10**12))
def test_chance(number):
    print("drawn", number)

def test_three_seeds(seed):
    print("seed", seed)

@pytest.mark.seeds(11, 12)
def test_own_seeds(seed):
    print("seed", seed)
"""


@pytest.fixture
def run_pytest(tmp_path: Path) -> "RunPytest":
    (tmp_path / "conftest.py").write_bytes(CONFTEST.read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  long\n  seeds\n")
    return RunPytest(tmp_path)


class RunPytest:
    """Runs pytest in a folder of its own, under our conftest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, source: str, *arguments: str, **environment: str) -> tuple[str, str]:
        """Return pytest's closing counts, such as "1 failed, 2 passed", and everything it printed."""
        (self._folder / "test_sample.py").write_text(source)
        inherited = {name: value for name, value in os.environ.items() if name != "AIQ_TEST_NO_SKIP"}
        only_what_we_need = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # halves the time of a start
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "hypothesispytest", "-p", "no:cacheprovider", "-rA", *arguments],
            cwd=self._folder,
            env=inherited | only_what_we_need | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        counts = re.search(r"=+ (.*) in [\d.]+s", result.stdout.splitlines()[-1])
        assert counts, result.stdout + result.stderr
        return counts[1], result.stdout


def test_a_skip_stays_a_skip_by_default(run_pytest: RunPytest) -> None:
    counts, _ = run_pytest(SKIPPING)
    assert counts == "4 skipped, 2 xfailed"


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "with workers"])
def test_no_skip_turns_every_skip_into_a_failure_but_leaves_xfail(
    run_pytest: RunPytest, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_absent.py").write_text("import pytest\npytest.importorskip('absent')\n")
    counts, output = run_pytest(SKIPPING, *workers, "--continue-on-collection-errors", AIQ_TEST_NO_SKIP="1")
    assert counts == "2 failed, 2 xfailed, 3 errors"
    for reason in ("call", "mark", "fixture", "unittest", "could not import 'absent'"):
        assert re.search(rf"allows no skip, but: .*{reason}", output)


def test_runs_draw_the_same_examples_unless_a_seed_is_given(run_pytest: RunPytest) -> None:
    def drawn(*arguments: str) -> list[str]:
        return re.findall(r"^(?:drawn|seed) \d+$", run_pytest(RANDOM, *arguments)[1], re.MULTILINE)

    fixed, seven = drawn(), drawn("--seed", "7")
    assert fixed == drawn()
    assert seven == drawn("--seed=7")
    assert fixed[:3] != seven[:3]
    assert [line for line in fixed if "seed" in line] == ["seed 1", "seed 2", "seed 3", "seed 11", "seed 12"]
    assert [line for line in seven if "seed" in line] == ["seed 7", "seed 7"]


def test_long_tests_run_on_request_only_and_are_not_called_skipped(run_pytest: RunPytest) -> None:
    source = "import pytest\n@pytest.mark.long\ndef test_long(): pass\ndef test_short(): pass\n"
    assert run_pytest(source, AIQ_TEST_NO_SKIP="1")[0] == "1 passed, 1 deselected"
    assert run_pytest(source, "--long")[0] == "2 passed"


def test_a_developers_own_settings_reach_no_test(run_pytest: RunPytest) -> None:
    source = "import os\ndef test_environment(): assert not [n for n in os.environ if n.startswith('AI_QUANT_')]\n"
    assert run_pytest(source, AI_QUANT_MODE="live", AI_QUANT_PRIVATE_KEY="x")[0] == "1 passed"


def test_recorded_data_is_found_by_name_and_its_absence_explained(run_pytest: RunPytest, tmp_path: Path) -> None:
    source = f"def test_data(shared_data): assert str(shared_data) == {str(tmp_path)!r}\n"
    assert run_pytest(source, AIQ_SHARED_DATA=str(tmp_path))[0] == "1 passed"
    counts, output = run_pytest(source, AIQ_SHARED_DATA=str(tmp_path / "absent"))
    assert counts == "1 skipped"
    assert "absent is not there; AIQ_SHARED_DATA names another place" in output
