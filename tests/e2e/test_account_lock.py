"""One live daemon per account, whatever ledgers they are given."""

from __future__ import annotations

import signal
from pathlib import Path

from entrypoints.exit_codes import ExitCode
from tests.daemon_process import PATIENCE_S, Daemon
from tests.e2e.test_live_on_venue import settings_of
from tests.venue_process import venue


def test_a_second_daemon_on_the_account_is_refused(tmp_path: Path) -> None:
    with venue(tmp_path) as (_, ready):
        extra = settings_of(tmp_path, ready, "live") | {"AI_QUANT_SYMBOLS": "BTC", "AI_QUANT_RUN_FOR": "120"}
        other = extra | {"AI_QUANT_DB_PATH": str(tmp_path / "other.sqlite")}
        with Daemon(tmp_path, extra) as first:
            first.wait_for(lambda d: "BTC" in d.text)
            with Daemon(tmp_path, other) as second:
                assert second.process.wait(timeout=PATIENCE_S) == ExitCode.HELD
                assert f"(pid {first.process.pid})" in second.text and "trades on 0x" in second.text
            assert not (tmp_path / "other.sqlite").exists(), "nothing was made for it"
            with Daemon(tmp_path, other | {"AI_QUANT_MODE": "dry_live"}) as dry:  # it cannot send
                dry.wait_for(lambda d: "BTC" in d.text)
                assert dry.end(signal.SIGTERM) == 0, dry.text[-2000:]
            first.process.kill()
            first.process.wait(timeout=PATIENCE_S)
        last = extra | {"AI_QUANT_DB_PATH": str(tmp_path / "last.sqlite")}
        with Daemon(tmp_path, last) as third:  # whoever is dead holds nothing
            third.wait_for(lambda d: "BTC" in d.text)
            assert third.end(signal.SIGTERM) == 0, third.text[-2000:]
