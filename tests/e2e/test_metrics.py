"""A daemon with a port: what /metrics and /healthz say, to whom, and what its health check makes of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon_process import Daemon, environment

LOOPBACK = "127.0.0.1"

TOLD = {
    "aiq_account_snapshot_age_seconds",
    "aiq_cash_usd",
    "aiq_commit_duration_seconds",
    "aiq_decision_latency_seconds",
    "aiq_drawdown_percent",
    "aiq_equity_usd",
    "aiq_feed_connections",
    "aiq_inbox_events",
    "aiq_latch",
    "aiq_loop_turn_age_seconds",
    "aiq_open_files",
    "aiq_orders",
    "aiq_price_age_seconds",
    "aiq_resident_memory_bytes",
    "aiq_venue_weight_used",
}


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by family: their values by the values of their labels."""
    status, text = ask(port, "/metrics")
    assert status == 200
    return {
        family.name: {tuple(each.labels.values()): each.value for each in family.samples}
        for family in text_string_to_metric_families(text)
        if family.samples
    }


def health_check(user_dir: Path, extra: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "entrypoints.healthcheck"],
        env=environment(user_dir, extra),
        cwd=user_dir,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.timeout(180)
def test_a_daemon_with_a_port_tells_how_it_is_and_nobody_else_is_told(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "daemon.log"
    extra = {"AI_QUANT_METRICS_PORT": str(port), "AI_QUANT_LOG_FILE": str(log), "AI_QUANT_HEARTBEAT_SECS": "1"}
    with Daemon(tmp_path, extra) as daemon:
        daemon.wait_for(lambda running: bool(running.lines("no_signal")))
        daemon.wait_for(lambda running: bool(running.lines("heartbeat")))

        told = scrape(port)
        assert set(told) >= TOLD, sorted(TOLD - set(told))
        assert told["aiq_build_info"] == {("paper", "local", "mei_alpha_v1", "0.1.0"): 1.0}
        assert told["aiq_recovered"] == {(): 1.0}
        assert told["aiq_equity_usd"][()] == pytest.approx(10_000, rel=0.2)
        assert told["aiq_latch"] == {("open",): 1.0, ("close_only",): 0.0, ("halt",): 0.0}
        assert told["aiq_open_files"][()] >= 10
        assert sum(told["aiq_feed_connections"].values()) >= 1
        assert "aiq_address_requests_left" not in told, "paper sends nothing, and what is not known is not 0"
        symbols = set(told.get("aiq_position_size", {}))
        assert len(symbols) == told["aiq_positions"][()], "a symbol is a label only while it is held"

        status, text = ask(port, "/healthz")
        health = json.loads(text)
        assert (status, health["ok"], health["problems"]) == (200, True, [])
        assert (health["mode"], health["network"], health["latch"]) == ("paper", "local", "open")
        assert health_check(tmp_path, extra) == (0, "at work")

        for host in ("evil.example", f"evil.example:{port}", "10.0.0.1"):
            status, text = ask(port, "/metrics", host=host)
            assert status == 421
            assert "aiq_" not in text
        assert ask(port, "/metrics", host="localhost")[0] == 200
        assert ask(port, "/metrics", "POST")[0] == 405
        assert ask(port, "/")[0] == 404

        with Daemon(tmp_path / "other", {"AI_QUANT_METRICS_PORT": str(port)}) as second:
            assert second.process.wait(timeout=60) == 3
            assert f"AI_QUANT_METRICS_PORT: cannot listen on 127.0.0.1:{port}" in second.text

        os.kill(daemon.process.pid, signal.SIGSTOP)
        assert health_check(tmp_path, extra) == (1, f"http://127.0.0.1:{port}/healthz: no answer (timed out)")
        os.kill(daemon.process.pid, signal.SIGCONT)

        beat = daemon.lines("heartbeat")[-1]
        assert beat["tasks"] > 5
        assert beat["rss_mb"] > 30
        assert "latch" not in beat, "it is told where it is shut"
        assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]
    assert health_check(tmp_path, extra)[0] == 1
    kept = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in kept if line["event"] == "heartbeat"]
    assert log.stat().st_mode & 0o777 == 0o600
