"""Hours of the real daemon in time-lapse: nothing grows, nothing is left behind, everything is decided on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.soak.soak import Plan, Soak

SYMBOLS, SCALE = 200, 60.0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_nothing_grows(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    hours: float = request.config.option.soak
    report = Soak(Plan(hours, SYMBOLS, SCALE, tmp_path), lambda text: print(text, file=sys.stderr, flush=True)).run()
    print(json.dumps(report, indent=2))
    assert report["failures"] == [], f"see {report['picture']}"
    assert not report["interrupted"]
