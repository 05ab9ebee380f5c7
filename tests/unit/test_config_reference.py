"""The reference pages, `.env.example` and the migration tables are in step with the rules."""

from pathlib import Path

import pytest

from config.environment import ENVIRONMENT, Written
from config.migration import Fate, Heritage, find
from config.migration_keys import KEYS
from config.migration_variables import VARIABLES as EARLIER_VARIABLES
from config.reference import configuration_page, env_example, migration_page
from config.settings import read_settings, resolve
from config.variables import VARIABLES
from domain.strategy_config import leaves
from domain.strategy_sections import EngineSection, RiskConfig, SymbolConfig

REPOSITORY = Path(__file__).resolve().parents[2]
ANEW = "write it anew with `python -m config.reference`"
SCHEMA_KEYS = {
    "watchlist_exclude",
    *(key for key, _ in leaves(SymbolConfig())),
    *(key for key, _ in leaves(RiskConfig(), "risk.")),
    *(key for key, _ in leaves(EngineSection(), "engine.")),
}
NEW_KEYS = {
    "risk.max_entry_orders_per_minute",
    "risk.max_entry_orders_per_minute_per_symbol",
    "risk.max_total_notional_usd",
    "risk.max_symbol_notional_usd",
    "risk.max_side_notional_usd",
    "risk.max_account_leverage",
    "risk.notional_window_s",
    "risk.max_notional_per_window_usd",
    "risk.reject_cooldown_s",
    "risk.unprotected_alert_s",
}
SCOPES = {"global", "symbols.SYM", "live", "modes.NAME", "modes.primary", "modes.fallback", "modes.conservative"}
SCOPES |= {"modes.flat"}


def test_env_example_is_in_step() -> None:
    assert (REPOSITORY / ".env.example").read_text(encoding="utf-8") == env_example(), ANEW


def test_the_configuration_page_is_in_step() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert configuration_page(page) == page, ANEW


def test_the_migration_page_is_in_step() -> None:
    assert (REPOSITORY / "docs" / "migration.md").read_text(encoding="utf-8") == migration_page(), ANEW


def test_env_example_has_every_setting_once_commented_out_with_its_default() -> None:
    lines = [line for line in env_example().splitlines() if line.startswith("#AI_QUANT_")]
    assert [line[1:].partition("=")[0] for line in lines] == [variable.name for variable in VARIABLES]
    assert all(line.startswith("#") or not line for line in env_example().splitlines())
    written = {line[1:].partition("=")[0]: Written(line.partition("=")[2], ENVIRONMENT) for line in lines}
    given, problems = read_settings({name: entry for name, entry in written.items() if entry.text})
    assert problems == []
    assert resolve(given, root=REPOSITORY) == resolve({}, root=REPOSITORY), "uncommenting it all changes nothing"


def test_every_kept_key_exists_and_every_key_is_kept_or_new() -> None:
    kept = {entry.name for entry in KEYS if entry.fate is Fate.KEPT}
    assert kept - SCOPES == SCHEMA_KEYS - NEW_KEYS


def test_every_kept_variable_exists() -> None:
    kept = {entry.name for entry in EARLIER_VARIABLES if entry.fate is Fate.KEPT}
    assert kept <= {variable.name for variable in VARIABLES}
    other = {entry.name for entry in EARLIER_VARIABLES if entry.fate is not Fate.KEPT}
    assert not other & {variable.name for variable in VARIABLES}


@pytest.mark.parametrize("table", [KEYS, EARLIER_VARIABLES])
def test_a_name_has_one_fate_and_a_reason_unless_kept(table: tuple[Heritage, ...]) -> None:
    names = [entry.name for entry in table]
    assert sorted(names) == sorted(set(names))
    assert all(entry.note for entry in table if entry.fate is not Fate.KEPT)


def test_a_pattern_stands_for_any_ending_and_an_own_entry_goes_first() -> None:
    assert find("AI_QUANT_KERNEL_CASH_SEED", EARLIER_VARIABLES) is not None
    assert find("AI_QUANT_NO_SUCH_THING", EARLIER_VARIABLES) is None
    own = find("AI_QUANT_OMS_REQUIRE_INTENT_FOR_ENTRY", EARLIER_VARIABLES)
    assert own is not None and own.note.startswith("always")


def test_every_fate_without_effect_has_its_warning() -> None:
    for entry in (*KEYS, *EARLIER_VARIABLES):
        if entry.fate is not Fate.KEPT:
            assert entry.note in entry.warning
