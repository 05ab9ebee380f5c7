"""Live on a venue of our own: every start is another venue, and has its own ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import load_configuration
from config.settings import Settings
from entrypoints.container import DaemonContainer
from entrypoints.rehearsal import put_away_last_rehearsal


def settings_of(folder: Path, **more: str) -> Settings:
    environ = {"AI_QUANT_MODE": "live", "AI_QUANT_NETWORK": "local", "AI_QUANT_USER_DIR": str(folder), **more}
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=0).settings


def make_files(settings: Settings) -> None:
    for name in ("live-local.sqlite", "live-local.decisions.sqlite", "other.sqlite"):
        (settings.user_dir / name).write_text(name)


def test_the_last_rehearsal_is_kept_under_another_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert put_away_last_rehearsal(settings) is None, "there was none"
    make_files(settings)
    kept = put_away_last_rehearsal(settings)
    assert kept is not None and kept.read_text() == "live-local.sqlite"
    assert not settings.db_path.exists()
    names = sorted(file.name for file in tmp_path.iterdir() if file.suffix == ".sqlite")
    assert [name.partition("Z")[2] for name in names] == [".decisions.sqlite", ".sqlite", ""]
    assert "other.sqlite" in names


def test_a_kill_file_stays_where_the_next_start_finds_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    make_files(settings)
    settings.kill_switch_file.write_text("hard")
    assert put_away_last_rehearsal(settings) is not None
    assert settings.kill_switch_file.read_text() == "hard"


@pytest.mark.parametrize(
    "more",
    [
        {"AI_QUANT_MODE": "paper"},
        {"AI_QUANT_VENUE_URL": "http://127.0.0.1:9"},
        {"AI_QUANT_NETWORK": "testnet"},
    ],
)
def test_every_other_ledger_goes_on(tmp_path: Path, more: dict[str, str]) -> None:
    settings = settings_of(tmp_path, **more)
    settings.db_path.write_text("kept")
    assert put_away_last_rehearsal(settings) is None
    assert settings.db_path.read_text() == "kept"


def test_a_ledger_that_is_being_written_is_not_touched(tmp_path: Path) -> None:
    configuration = load_configuration(
        {"AI_QUANT_MODE": "live", "AI_QUANT_NETWORK": "local", "AI_QUANT_USER_DIR": str(tmp_path)},
        root=tmp_path,
        cwd=tmp_path,
        seen_ms=0,
    )
    ledger = DaemonContainer(configuration=configuration).ledger()
    try:
        assert put_away_last_rehearsal(configuration.settings) is None
    finally:
        ledger.close()
    assert put_away_last_rehearsal(configuration.settings) is not None
