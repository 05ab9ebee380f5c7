"""What is asked of a daemon before it has begun: by a kill file that lies there, and by its environment."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import Settings
from config.variables import KillSwitch
from domain.events import OperatorSpoke
from domain.operator import OperatorVerb
from entrypoints.control.kill_file import KillFileWatch

SOURCE = "environment"

_VERB_OF = {KillSwitch.CLOSE_ONLY: OperatorVerb.KILL_SOFT, KillSwitch.HALT: OperatorVerb.KILL_HARD}


def first_requests(settings: Settings, kill_file: KillFileWatch, new_id: Callable[[], str]) -> list[OperatorSpoke]:
    """In the order in which they are heard, after recovery and before the market."""
    requests = []
    switch = _VERB_OF.get(settings.kill_switch)
    if switch is not None:
        why = f"AI_QUANT_KILL_SWITCH={settings.kill_switch.value}"
        requests.append(OperatorSpoke(new_id(), switch, None, SOURCE, why))
    found = kill_file.look()
    if found is not None:
        requests.append(found)
    if settings.adopt_positions:
        requests.append(OperatorSpoke(new_id(), OperatorVerb.ADOPT, None, SOURCE, "AI_QUANT_ADOPT_POSITIONS=1"))
    return requests
