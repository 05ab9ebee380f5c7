"""What every test folder shares: fixed seeds, no silent skips, the recorded data. See docs/testing.md."""

import os
from collections.abc import Generator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

FIXED_SEEDS = (1, 2, 3)
SHARED_DATA = "AIQ_SHARED_DATA"
NO_SKIP = "AIQ_TEST_NO_SKIP"
TOGETHER = "xdist_group"
"""The mark of a file whose tests share something expensive, or must not run side by side."""

# The same examples every time, on a machine of any speed: what the gate runs.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# New examples every time, to look for what the fixed ones miss.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ai-quant")
    group.addoption("--seed", type=int, help="run every test that draws on chance with this one seed")
    group.addoption("--long", action="store_true", help="run the tests marked `long` as well")
    group.addoption("--soak", type=float, metavar="HOURS", help="run the soak for so many real hours")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads its own option
def pytest_configure(config: pytest.Config) -> None:
    # A developer's own settings, the keys above all, must never reach a test or a process that it starts.
    for name in [name for name in os.environ if name.startswith("AI_QUANT_")]:
        del os.environ[name]
    if config.option.seed is not None:
        # A derandomized profile would ignore the seed.
        settings.register_profile("seeded", settings.get_profile("ci"), derandomize=False)
        settings.load_profile("seeded")
        config.option.hypothesis_seed = config.option.seed


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.option.seed
    return "seeds: fixed" if seed is None else f"seeds: {seed} only"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `seed` once per fixed seed, or only with the one of `--seed`."""
    if "seed" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("seeds")
    seeds = marker.args if marker else FIXED_SEEDS
    if metafunc.config.option.seed is not None:
        seeds = (metafunc.config.option.seed,)
    metafunc.parametrize("seed", seeds)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave long tests and the soak out without calling them skipped: a skip says that something is missing here."""
    if not config.option.long:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    if config.option.soak is None:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("soak")])
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    if hasattr(config, "workerinput"):
        items[:] = _by_turns(items)


def _by_turns(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Who waits for real processes and who computes, by turns: so that no core is idle while others wait."""
    waiting = [item for item in items if "e2e" in item.path.parts]
    computing = [item for item in items if "simulation" in item.path.parts]
    first = [item for item in chain.from_iterable(zip_longest(waiting, computing)) if item is not None]
    chosen = set(first)
    return first + [item for item in items if item not in chosen]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    return _FilesTogether(config, log) if config.getvalue("dist") == "loadgroup" else None


class _FilesTogether(LoadScopeScheduling):  # type: ignore[misc]
    """All tests of a marked file go to one worker, any other test to whoever is free.

    xdist's own way is to rename the marked tests, which pytest no longer hears of since it has names of its own.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        files = (config.rootpath / "tests").rglob("test_*.py")
        marked = (each for each in files if f"mark.{TOGETHER}" in each.read_text())
        self._together = {each.relative_to(config.rootpath).as_posix() for each in marked}

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return file if file in self._together else nodeid


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: sees what xfail and unittest made of the outcome
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure when asked to. An expected failure counts as skipped for pytest, not for us."""
    if os.environ.get(NO_SKIP) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{NO_SKIP}=1 allows no skip, but: {reason}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of recorded market data, which is optional and not part of this repository."""
    beside_us = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get(SHARED_DATA, beside_us))
    if not folder.is_dir():
        pytest.skip(f"no recorded data: {folder} is not there; {SHARED_DATA} names another place")
    return folder
