"""Variables as somebody set them: in the environment, or in a `.env` file, which the environment beats.

Nothing here reads the process's own environment; it comes in as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from config.migration import Fate, find
from config.migration_variables import VARIABLES as EARLIER_VARIABLES
from config.suggestions import did_you_mean
from config.variables import PREFIX, VARIABLES
from domain.strategy_config import Place
from ports.strategy_config import ConfigProblem

ENVIRONMENT = Place("environment")

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>[^"']*)(?P=quote)\s*(#.*)?""")
_COMMENT = re.compile(r"(^|\s)#.*$")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASS|MNEMONIC|SEED_PHRASE")
_KEY_LIKE = re.compile(r"[0-9a-fA-F]{60,}")
_OFF_WORDS = ("0", "false", "no", "n", "off", "")
_KNOWN = frozenset(variable.name for variable in VARIABLES)


@dataclass(frozen=True, slots=True)
class Written:
    """A variable's text and where it stands."""

    text: str
    place: Place


def gather(
    environ: Mapping[str, str], dotenv: str | None, dotenv_path: str = ".env"
) -> tuple[dict[str, Written], list[ConfigProblem]]:
    """Every variable that is set, to its winning text. An empty text is the same as not set."""
    written, problems = _read_dotenv(dotenv or "", dotenv_path)
    written.update({name: Written(text, ENVIRONMENT) for name, text in environ.items() if text.strip()})
    return written, problems


def unknown_variables(names: Mapping[str, object]) -> tuple[str, ...]:
    """A warning for each variable of ours that has no effect. Values are never shown: some are secrets."""
    warnings = []
    for name in sorted(names):
        if name in _KNOWN:
            continue
        entry = find(name, EARLIER_VARIABLES)
        if entry is not None and entry.fate is not Fate.KEPT:
            warnings.append(f"{name} {entry.warning}")
        elif name.startswith(PREFIX):
            warnings.append(f"{name} is unknown and has no effect{did_you_mean(name, _KNOWN)}")
    return tuple(warnings)


def refused_variables(written: Mapping[str, Written]) -> list[ConfigProblem]:
    """Variables of the earlier engine that are switched on, and that nothing here obeys where people rely on it."""
    problems = []
    for name, found in sorted(written.items()):
        entry = find(name, EARLIER_VARIABLES)
        if entry is not None and entry.fate is Fate.REFUSED and found.text.strip().lower() not in _OFF_WORDS:
            problems.append(ConfigProblem(found.place, name, entry.note))
    return problems


def is_secret(name: str) -> bool:
    """Whether a variable's value must not be shown."""
    return _SECRET.search(name.upper()) is not None


def looks_like_a_key(text: str) -> bool:
    """Whether a text, meant as whatever, may be a private key that somebody put into the wrong place."""
    return _KEY_LIKE.search(text) is not None


def names_a_file(name: str) -> bool:
    """Whether a variable of secrets holds none itself: a file's path or a consent may be shown."""
    return name.endswith(("_FILE", "_KEYSTORE", "_CONSENT"))


def _read_dotenv(text: str, path: str) -> tuple[dict[str, Written], list[ConfigProblem]]:
    written: dict[str, Written] = {}
    problems: list[ConfigProblem] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        place = Place(path, number, 1)
        if match is None:
            # The file may serve other programs too; only lines that seem to be ours are judged, and never shown.
            if PREFIX in line and not line.lstrip().startswith("#"):
                problems.append(ConfigProblem(place, "", "must be NAME=VALUE"))
            continue
        name, value = match[1], _unquoted(match[2])
        if name.startswith(PREFIX) and name in written:
            problems.append(ConfigProblem(place, name, f"is there twice, first in line {written[name].place.line}"))
        elif value.strip():
            written[name] = Written(value, place)
    return written, problems


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted["text"] if quoted else _COMMENT.sub("", value).rstrip()
