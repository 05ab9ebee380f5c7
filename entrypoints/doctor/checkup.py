"""One look at everything, in the order in which a start would need it."""

from __future__ import annotations

import asyncio

from config.load import Configuration
from entrypoints.doctor.findings import Finding
from entrypoints.doctor.machine import (
    look_at_configuration,
    look_at_database,
    look_at_disk,
    look_at_key,
    look_at_signature,
)
from entrypoints.doctor.venue import look_at_venue


def check_up(configuration: Configuration) -> list[Finding]:
    settings = configuration.settings
    key, about_key = look_at_key(settings)
    return [
        *look_at_configuration(configuration),
        *about_key,
        *look_at_signature(settings, key),
        *asyncio.run(look_at_venue(configuration, key)),
        *look_at_database(settings),
        *look_at_disk(settings),
    ]
