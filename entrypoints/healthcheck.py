"""Is the daemon of this configuration at work? For a container's HEALTHCHECK: `python -P -m entrypoints.healthcheck`.

With `AI_QUANT_METRICS_PORT` the daemon itself is asked, at /healthz. Without it, its traces are looked at: every run is
recorded, each second, by the thread that also writes the ledger, and what is recorded comes from the engine's loop: a
loop or a disk that hangs leaves the newest recording old. Where nothing is recorded (`AI_QUANT_RECORD=0`) only the
ledger's lock can tell, which a daemon that hangs holds too. Opens no database, asks no venue.
"""

from __future__ import annotations

from entrypoints.namespace_guard import refuse_foreign_packages

refuse_foreign_packages()

import http.client  # noqa: E402  (the guard comes before anything of ours)
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from adapters.sqlite.writer_lock import writer_of  # noqa: E402
from config.settings import Settings  # noqa: E402
from entrypoints.configuration import read_configuration  # noqa: E402
from entrypoints.exit_codes import exit_code_of, message_of  # noqa: E402

FRESH_S = 60.0
"""A recording grows every second; a disk may stall for a while."""


LOOPBACK = "127.0.0.1"
ANSWER_S = 5.0
"""A loop that takes longer to answer hangs, or nearly so."""


def main() -> int:
    """Print one line; 0 if the daemon is at work, else 1: Docker knows no other codes."""
    try:
        problem = unhealthy(read_configuration(tell=lambda _: None).settings, time.time())
    except Exception as error:
        if exit_code_of(error) is None:
            raise
        problem = message_of(error)
    print(problem or "at work")
    return 1 if problem else 0


def unhealthy(settings: Settings, now_s: float) -> str:
    """What is wrong, in one line; empty if nothing is."""
    if settings.metrics_port is not None:
        return _answer_of(settings.metrics_port)
    if not settings.record:
        return "" if writer_of(settings.db_path) else f"{settings.db_path}: nobody writes this ledger"
    newest_s = _newest_s(settings.sessions_dir)
    if newest_s is None:
        return f"{settings.sessions_dir}: nothing has been recorded"
    age_s = now_s - newest_s
    return "" if age_s <= FRESH_S else f"{settings.sessions_dir}: nothing has been recorded for {age_s:.0f} s"


def _answer_of(port: int) -> str:
    """What the daemon says is wrong with it. Asked directly: proxies of the environment do not know this machine."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_S)
    where = f"http://{LOOPBACK}:{port}/healthz"
    try:
        connection.request("GET", "/healthz")
        answer = json.loads(connection.getresponse().read())
        return "" if answer["ok"] is True else "; ".join(answer["problems"])
    except OSError as error:
        return f"{where}: no answer ({error.strerror or error})"
    except (http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"{where}: something else answers there"
    finally:
        connection.close()


def _newest_s(folder: Path) -> float | None:
    times = [_written_s(path) for path in folder.glob("*/*")]
    return max(times, default=None)


def _written_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # pruned meanwhile


if __name__ == "__main__":
    sys.exit(main())
