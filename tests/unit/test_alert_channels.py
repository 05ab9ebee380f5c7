"""Alerts by apprise, a daemon's alerts, and `./aiq alerts test`: with a package that is not really there."""

from __future__ import annotations

import json
import logging
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest

from adapters.alerts.apprise_channel import INSTALL, apprise_channels, split_urls
from adapters.alerts.channel import ChannelFailed
from adapters.alerts.severities import Severity
from adapters.clocks import ManualClock
from adapters.logged_alerts import LoggedAlerts
from config.load import load_configuration
from config.settings import Settings
from entrypoints.alerting import alerts_of, last_alerts
from entrypoints.cli import run
from ports.strategy_config import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
ADDRESS = "0x1234" + "9" * 32 + "abcd"
TOKEN = "123456:not-a-real-token"


# ── apprise ──────────────────────────────────────────────────────────────────────────────────────


class FakeApprise(ModuleType):
    """As much of the package as is used. A URL with `refuse` in it fails, one of `bad://` is unknown."""

    class NotifyType(Enum):
        INFO = "info"
        WARNING = "warning"
        FAILURE = "failure"

    class NotifyFormat(Enum):
        TEXT = "text"

    def __init__(self) -> None:
        super().__init__("apprise")
        self.notified: list[tuple[str, str, str, str]] = []
        module, logger = self, logging.getLogger("apprise")

        class Apprise:
            def add(self, url: str) -> bool:
                self.url = url
                if url.startswith("bad://"):
                    logger.error("Unsupported URL %s", url)
                return not url.startswith("bad://")

            def notify(self, *, body: str, title: str, notify_type: Enum, body_format: Enum) -> bool:
                assert body_format.value == "text"
                if "refuse" in self.url:
                    logger.warning("%s said 401 to %s", self.url, ADDRESS)
                    return False
                module.notified.append((self.url, title, body, notify_type.value))
                return True

        self.Apprise = Apprise


@pytest.fixture
def apprise(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApprise]:
    fake = FakeApprise()
    monkeypatch.setitem(sys.modules, "apprise", fake)
    logger = logging.getLogger("apprise")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield fake
    logger.level, logger.propagate, logger.handlers = before


def test_every_url_is_a_channel_of_its_own(apprise: FakeApprise) -> None:
    urls = f"tgram://{TOKEN}/1, mailto://u:p@host?to=a@b.c,d@e.f , json://localhost"
    channels = apprise_channels(urls)
    assert [channel.name for channel in channels] == ["tgram #1", "mailto #2", "json #3"]
    for channel, severity in zip(channels, Severity, strict=True):
        channel.deliver("title", "text", severity)
    assert apprise.notified == [
        (url, "title", "text", kind) for url, kind in zip(split_urls(urls), ("info", "warning", "failure"), strict=True)
    ]


def test_a_refusal_comes_in_the_services_words_without_the_urls_secrets(
    apprise: FakeApprise, caplog: pytest.LogCaptureFixture
) -> None:
    [channel] = apprise_channels("refuse://123456:AAE%2Dtoken/chat-77")
    with pytest.raises(ChannelFailed) as refused:
        channel.deliver("title", "text", Severity.NEWS)
    assert "said 401 to 0x1234…abcd" in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("123456", "AAE", "chat-77", ADDRESS))
    assert caplog.records == [], "apprise's own lines go nowhere else"


def test_a_url_that_apprise_does_not_know_is_refused_without_being_shown(apprise: FakeApprise) -> None:
    with pytest.raises(ConfigError) as refused:
        apprise_channels(f"json://localhost,bad://{TOKEN}/x")
    assert "AI_QUANT_ALERT_URLS" in str(refused.value) and "bad #2" in str(refused.value)
    assert TOKEN not in str(refused.value)


@pytest.fixture
def no_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)


@pytest.mark.usefixtures("no_apprise")
def test_without_the_package_the_message_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match="AI_QUANT_ALERT_URLS") as refused:
        apprise_channels(f"tgram://{TOKEN}/1")
    assert INSTALL in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_the_package_is_an_extra_and_in_no_lock() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert [each for each in project["optional-dependencies"]["alerts"] if each.startswith("apprise>=")]
    assert f"pip install {project['name']}[alerts]" == INSTALL
    for lock in ("run", "test"):
        assert "apprise==" not in (REPOSITORY / "requirements" / f"{lock}.lock").read_text()


# ── a daemon's alerts, and the command ───────────────────────────────────────────────────────────


def settings_of(folder: Path, **more: str) -> Settings:
    environ = {"AI_QUANT_USER_DIR": str(folder), **{f"AI_QUANT_{name}": text for name, text in more.items()}}
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=0).settings


@pytest.mark.usefixtures("no_apprise")
async def test_without_channels_alerts_go_to_the_log_and_there_is_no_thread(tmp_path: Path) -> None:
    alerts = alerts_of(settings_of(tmp_path), ManualClock())
    assert type(alerts) is LoggedAlerts
    await last_alerts(alerts)


async def test_with_channels_a_daemons_last_alert_goes_out(tmp_path: Path, apprise: FakeApprise) -> None:
    settings = settings_of(tmp_path, ALERT_URLS="json://localhost", ALERT_WINDOW_S="60", ALERTS_PER_HOUR="5")
    alerts = alerts_of(settings, ManualClock())
    alerts.send("risk_tripped", "drawdown limit reached")
    await last_alerts(alerts)
    title = "critical: risk_tripped (paper local)"
    assert apprise.notified == [("json://localhost", title, "drawdown limit reached", "failure")]


def test_urls_are_a_secret_wherever_settings_are_shown(tmp_path: Path) -> None:
    environ = {"AI_QUANT_ALERT_URLS": f"tgram://{TOKEN}/1"}
    configuration = load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0)
    assert TOKEN not in repr(configuration)
    assert "AI_QUANT_ALERT_URLS" not in configuration.texts
    with pytest.raises(ConfigError) as refused:
        load_configuration({"AI_QUANT_ALERT_URLS": TOKEN}, root=tmp_path, cwd=tmp_path, seen_ms=0)
    assert TOKEN not in str(refused.value)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AI_QUANT_ALERT_URLS", raising=False)
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(tmp_path))
    return monkeypatch


@pytest.mark.usefixtures("desk")
def test_the_command_without_channels_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts", "test"]) == 3
    assert "AI_QUANT_ALERT_URLS" in capsys.readouterr().err


@pytest.mark.usefixtures("no_apprise")
def test_the_command_without_the_package_ends_with_3(
    desk: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.setenv("AI_QUANT_ALERT_URLS", "json://localhost")
    assert run(["alerts", "test"]) == 3
    assert INSTALL in capsys.readouterr().err


def test_the_command_sends_one_message_to_each_and_says_what_each_answered(
    desk: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], apprise: FakeApprise
) -> None:
    desk.setenv("AI_QUANT_ALERT_URLS", "json://localhost")
    assert run(["alerts", "test"]) == 0
    assert capsys.readouterr().out.splitlines() == ["channel  answer", "json #1  taken"]
    desk.setenv("AI_QUANT_ALERT_URLS", "json://localhost,refuse://secret-one")
    assert run(["alerts", "test", "--json"]) == 1
    taken, failed = json.loads(capsys.readouterr().out)
    assert taken == {"channel": "json #1", "answer": "taken"}
    assert failed["channel"] == "refuse #2" and "said 401" in failed["answer"]
    assert [title for _, title, _, _ in apprise.notified] == ["news: test (paper local)"] * 2
