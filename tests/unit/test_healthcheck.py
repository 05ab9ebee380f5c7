"""The container's health check: the daemon's own answer, the newest recording, or the ledger's lock."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from entrypoints.configuration import read_configuration
from entrypoints.healthcheck import FRESH_S, main, unhealthy
from tests.sqlite_files import open_ledger

NOW_S = 1_700_000_000.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recorded(folder: Path, session: str, written_s: float) -> None:
    file = folder / "sessions" / session / "000001.zst"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (written_s, written_s))


def found(**variables: str) -> str:
    return unhealthy(read_configuration(variables).settings, NOW_S)


def test_a_fresh_recording_is_health(folder: Path) -> None:
    recorded(folder, "20260101T000000Z-1", NOW_S - 80_000)
    recorded(folder, "20260102T000000Z-1", NOW_S - FRESH_S + 1)
    assert found() == ""


def test_an_old_recording_is_a_loop_that_hangs(folder: Path) -> None:
    recorded(folder, "20260101T000000Z-1", NOW_S - 61)
    assert found() == f"{folder / 'sessions'}: nothing has been recorded for 61 s"


def test_no_recording_is_no_daemon(folder: Path) -> None:
    assert found() == f"{folder / 'sessions'}: nothing has been recorded"


def test_where_nothing_is_recorded_the_ledgers_lock_tells(folder: Path) -> None:
    assert "nobody writes this ledger" in found(AI_QUANT_RECORD="0")
    with closing(open_ledger(folder / "paper-local.sqlite")):
        assert found(AI_QUANT_RECORD="0") == ""


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b'{"ok": true, "problems": []}', ""),
        (b'{"ok": false, "problems": ["it recovers", "it is slow"]}', "it recovers; it is slow"),
        (b"<html>a web server</html>", "http://127.0.0.1:{port}/healthz: something else answers there"),
        (b"[]", "http://127.0.0.1:{port}/healthz: something else answers there"),
    ],
)
def test_with_a_port_the_daemon_itself_is_asked(folder: Path, answer: bytes, line: str) -> None:
    recorded(folder, "20260101T000000Z-1", NOW_S - 80_000)

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert found(AI_QUANT_METRICS_PORT=str(server.server_port)) == line.format(port=server.server_port)
        thread.join()


def test_where_nobody_listens_there_is_no_daemon(folder: Path) -> None:
    recorded(folder, "20260101T000000Z-1", NOW_S)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = taken.getsockname()[1]
        assert (
            found(AI_QUANT_METRICS_PORT=str(port)) == f"http://127.0.0.1:{port}/healthz: no answer (Connection refused)"
        )


def test_it_prints_one_line_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main() == 1
    assert capsys.readouterr().out.endswith("nothing has been recorded\n")
    monkeypatch.setenv("AI_QUANT_MODE", "papper")
    assert main() == 1
    assert "AI_QUANT_MODE" in capsys.readouterr().out
