"""Short ways to the metric families of one scrape. A value that nobody knows is left out, never shown as 0."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Value = Decimal | float | int | None


def gauge(name: str, help_text: str, value: Value) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text)
    if value is not None:
        family.add_metric([], float(value))
    return family


def gauges(name: str, help_text: str, label: str, values: Mapping[str, Value]) -> GaugeMetricFamily:
    """One sample for each value of the label."""
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key], float(value))
    return family


def counter(name: str, help_text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, help_text, value=value)


def counters(name: str, help_text: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
