"""Where the daemon's alerts go: the log, and the channels that `AI_QUANT_ALERT_URLS` names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from adapters.alerts.channel import AlertChannel
from adapters.alerts.throttle import AlertLimits
from adapters.alerts.throttled import ThrottledAlerts
from adapters.logged_alerts import LoggedAlerts
from config.settings import Settings
from ports.alerts import Alerts
from ports.clock import Clock


def alerts_of(settings: Settings, clock: Clock) -> Alerts:
    """The alerts of a daemon. Without channels they need no thread: in simulated time there are none.

    Raises `ConfigError` where channels are named that cannot be used.
    """
    channels = channels_of(settings)
    if not channels:
        return LoggedAlerts()
    limits = AlertLimits(settings.alert_window_s * 1000, settings.alerts_per_hour)
    alerts = ThrottledAlerts(LoggedAlerts(), channels, clock, limits, origin_of(settings))
    alerts.start()
    return alerts


def alert_counts(alerts: Alerts) -> Mapping[str, int]:
    """Alerts since the start, by code."""
    assert isinstance(alerts, LoggedAlerts | ThrottledAlerts), "made by `alerts_of`"
    return alerts.counts


async def last_alerts(alerts: Alerts) -> None:
    """Let what is on its way go out: two seconds at most."""
    if isinstance(alerts, ThrottledAlerts):
        await asyncio.to_thread(alerts.close)


def channels_of(settings: Settings) -> Sequence[AlertChannel]:
    """The channels that are named; none is asked anything yet. Raises `ConfigError` where they cannot be used."""
    if settings.alert_urls is None:
        return ()
    from adapters.alerts.apprise_channel import apprise_channels

    return apprise_channels(settings.alert_urls.reveal())


def origin_of(settings: Settings) -> str:
    """Which daemon it is, for whoever has several."""
    return f"{settings.mode.value} {settings.network.value}"
