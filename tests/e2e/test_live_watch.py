"""The live daemon watches the venue's clock from its start: a clock that is far off is told, and entries are held."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

from config.variables import MASTER_KEY_CONSENT
from tests.daemon_process import Daemon
from tests.venue_process import venue


def test_live_tells_of_a_clock_that_is_off(tmp_path: Path) -> None:
    rules = tmp_path / "faults.json"
    rule = {"fault": "clock_skew", "with": {"ms": 15_000}, "match": {"request_type": "exchangeStatus"}}
    rules.write_text(json.dumps(rule))
    with venue(tmp_path, "--symbols", "2", "--faults", str(rules)) as (_, ready):
        toy = ready["accounts"][0]
        extra = {
            "AI_QUANT_MODE": "live",
            "AI_QUANT_NETWORK": "local",
            "AI_QUANT_VENUE_URL": ready["url"],
            "AI_QUANT_ACCOUNT_ADDRESS": toy["address"],
            "AI_QUANT_AGENT_KEY": toy["key"],
            "AI_QUANT_MASTER_KEY_CONSENT": MASTER_KEY_CONSENT,
        }
        with Daemon(tmp_path / "user", extra) as daemon:
            daemon.wait_for(lambda running: bool(running.lines("clock_skew")))
            (told,) = daemon.lines("clock_skew")
            assert re.search("1[45].[0-9] s behind the venue's; entries are held, exits go on", told["detail"])
            assert daemon.end(signal.SIGTERM) == 0, daemon.text[-3000:]
