"""Everything a start needs to know, from one call: settings, overrides, where each value came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.environment import gather, looks_like_a_key, refused_variables, unknown_variables
from config.overrides_watch import OverridesWatch
from config.settings import (
    GivenSettings,
    Settings,
    cautious_layer,
    read_settings,
    resolve,
    risk_layer,
    with_engine_section,
)
from config.variables import VARIABLES, Mode
from config.yaml_reader import OverridesParser
from domain.config_events import OverridesText
from domain.strategy_config import Place, StrategyBook
from ports.strategy_config import ConfigError, ConfigProblem, OverridesInvalid


@dataclass(frozen=True, slots=True)
class Configuration:
    """A start's settings and overrides. `first` and `parser` are what the `StrategyManager` starts from.

    `watch` looks at the overrides file from here on; `given` knows where each setting came from, and `texts` what was
    written, of variables that are no secret.
    """

    settings: Settings
    given: GivenSettings
    texts: Mapping[str, str]
    book: StrategyBook
    parser: OverridesParser
    first: OverridesText
    watch: OverridesWatch
    warnings: tuple[str, ...]


def load_configuration(
    environ: Mapping[str, str], *, root: Path, cwd: Path, seen_ms: int, overrides: OverridesText | None = None
) -> Configuration:
    """Read `.env` (in `cwd`), the variables and the overrides file. Raises `ConfigError` with every problem at once.

    `root`: see `project_root`. `seen_ms`: real monotonic time. `overrides` stands in for the file, for example
    when a replay brings its own.
    """
    written, problems = gather(environ, _dotenv(cwd))
    given, wrong = read_settings(written)
    problems += [*wrong, *refused_variables(written)]
    settings, wrong = resolve(given, root=root)
    problems += wrong
    watch = OverridesWatch(settings.strategy_yaml, _shown(settings.strategy_yaml, root, cwd))
    first = overrides or watch.look(seen_ms)
    parser = OverridesParser(
        settings.mode is not Mode.PAPER, settings.strategy_mode, risk_layer(given), bottom=cautious_layer(settings)
    )
    problems += _missing_file(given, first)
    try:
        book = parser.defaults(first.path) if first.is_absent else parser.parse_look(first)
    except OverridesInvalid as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
        raise ConfigError(problems)
    given = with_engine_section(given, book)
    settings, _ = resolve(given, root=root)
    notes = [f"{first.path}: {first.reason}; defaults are in force"] if first.is_absent else []
    warnings = (*unknown_variables(written), *notes, *book.warnings)
    texts = {
        each.name: written[each.name].text
        for each in VARIABLES
        if each.name in written and not each.secret and not looks_like_a_key(written[each.name].text)
    }
    return Configuration(settings, given, texts, book, parser, first, watch, warnings)


def project_root(cwd: Path) -> Path:
    """Where default paths start: the checkout this code lies in; for an installed package the current folder."""
    home = Path(__file__).resolve().parent.parent
    return home if (home / "pyproject.toml").is_file() else cwd


def _missing_file(given: GivenSettings, first: OverridesText) -> list[ConfigProblem]:
    """Without a file defaults are in force; but a file that was asked for has to be there."""
    asked = given.get("strategy_yaml")
    if asked is None or not first.is_absent:
        return []
    return [ConfigProblem(asked.place, asked.scope, f"there is no such file (got '{first.path}')")]


def _dotenv(cwd: Path) -> str | None:
    try:
        return (cwd / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        problem = ConfigProblem(Place(".env"), "", f"cannot be read as UTF-8 text: {type(error).__name__}")
        raise ConfigError([problem]) from error


def _shown(path: Path, root: Path, cwd: Path) -> str:
    """A path as messages spell it: short where it can be."""
    return next((str(path.relative_to(base)) for base in (cwd, root) if path.is_relative_to(base)), str(path))
