"""The real thing: a process that commits is killed, and all that it was told is durable is there."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from adapters.sqlite import queries
from tests.ledger_facts import intent
from tests.sqlite_files import opened

ROOT = Path(__file__).resolve().parents[2]
COMMITTER = """
import sys
from pathlib import Path
from tests.ledger_facts import T0, accepted, filled, intent, recorded
from tests.sqlite_files import open_ledger
ledger = open_ledger(Path(sys.argv[1]))
number = len(ledger.load().intent_ids)
while True:
    new = recorded(intent(open_ms=number))
    fill = filled(new.order, tid=number, oid=number)
    ledger.commit([new, accepted(new.order, number), fill, accepted(new.order, number)])
    print(number, flush=True)
    number += 1
"""


def test_whatever_was_committed_before_a_kill_is_there(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.sqlite"
    chance = random.Random(seed)
    told = -1
    for _ in range(2):  # the second goes on where the first, killed, left off
        process = subprocess.Popen([sys.executable, "-c", COMMITTER, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        with process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 400)):  # some 4 pages a commit: past the first checkpoint
                told = int(process.stdout.readline())
            process.kill()
            told = max([told, *(int(line) for line in process.stdout if line.endswith(b"\n"))])
        everything = queries.summary(path)  # beside the log that the dead process left
        assert everything.intents in (told + 1, told + 2)  # the last may be durable and not told
        with opened(path) as ledger:
            state = ledger.load()
            assert state.intent_ids == {intent(open_ms=number).intent_id for number in range(len(state.intent_ids))}
            assert len(state.intent_ids) == len(state.trade_ids) == everything.intents
            assert ledger.verify() is None
            assert len(state.live_orders) == len(state.intent_ids)
    assert told > 0
