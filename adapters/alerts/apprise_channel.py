"""Channels by apprise: over a hundred services, each a URL. The package is an extra, imported where URLs are set."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from adapters.alerts.channel import ChannelFailed
from adapters.alerts.masking import masked
from adapters.alerts.severities import Severity
from domain.strategy_config import Place
from ports.strategy_config import ConfigError, ConfigProblem

VARIABLE = "AI_QUANT_ALERT_URLS"
INSTALL = "pip install ai-quant[alerts]"

_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
"""A comma inside a URL separates addresses; only what comes before a scheme separates URLs."""
_PARTS = re.compile(r"[^A-Za-z0-9_.+%-]+")
_SECRET_CHARS = 6
"""Shorter parts of a URL are no secrets: schemes, ports, `to`."""
_KINDS = {Severity.NEWS: "INFO", Severity.WARNING: "WARNING", Severity.CRITICAL: "FAILURE"}


class AppriseChannel:
    """One URL. `driver`: the package; `name`: the scheme and a number, for the rest of a URL is full of secrets."""

    def __init__(self, driver: ModuleType, url: str, name: str) -> None:
        self.name = name
        self._driver, self._heard = driver, _listen(driver)
        self._secrets = _parts_of(url)
        self._service: Any = driver.Apprise()
        self.is_usable = bool(self._service.add(url))

    def deliver(self, title: str, text: str, severity: Severity) -> None:
        self._heard.said.clear()
        kind = getattr(self._driver.NotifyType, _KINDS[severity])
        plain = self._driver.NotifyFormat.TEXT  # a service that reads HTML or Markdown gets the text escaped
        if self._service.notify(body=text, title=title, notify_type=kind, body_format=plain) is not True:
            raise ChannelFailed(self._safe("; ".join(self._heard.said)) or "the service did not take it")

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return masked(text)


def apprise_channels(text: str) -> tuple[AppriseChannel, ...]:
    """A channel for each URL of a comma-separated list, in its order.

    Raises `ConfigError` where the package is missing, or does not know a URL; no message shows one.
    """
    driver = _driver()
    urls = split_urls(text)
    channels = [AppriseChannel(driver, url, f"{_scheme(url)} #{place}") for place, url in enumerate(urls, 1)]
    unknown = [channel.name for channel in channels if not channel.is_usable]
    if unknown:
        raise _refused(f"apprise knows no such service, or not this way to write it: {', '.join(unknown)}")
    return tuple(channels)


def _parts_of(url: str) -> list[str]:
    """What no log may say of a URL, longest first."""
    parts = {*_PARTS.split(url), *_PARTS.split(unquote(url))}
    return sorted((part for part in parts if len(part) >= _SECRET_CHARS), key=lambda part: (-len(part), part))


def split_urls(text: str) -> Sequence[str]:
    return [url.strip(" ,") for url in _BETWEEN.split(text.strip()) if url.strip(" ,")]


class _Listener(logging.Handler):
    """What apprise says of a failure: it returns no more than False."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _listen(driver: ModuleType) -> _Listener:
    """Take apprise's words to us alone, and have nobody write down the URLs that it asks: they hold the tokens."""
    logger = logging.getLogger(driver.__name__)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if logging.getLogger("urllib3").getEffectiveLevel() < logging.INFO:
        logging.getLogger("urllib3").setLevel(logging.INFO)
    found = next((each for each in logger.handlers if isinstance(each, _Listener)), None)
    if found is None:
        found = _Listener()
        logger.addHandler(found)
    return found


def _driver() -> ModuleType:
    try:
        return importlib.import_module("apprise")
    except ModuleNotFoundError as error:
        raise _refused(f"needs a package that is not installed: {INSTALL}") from error


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _refused(message: str) -> ConfigError:
    return ConfigError([ConfigProblem(Place("environment"), VARIABLE, message)])
