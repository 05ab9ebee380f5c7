"""The container wires every row of the mode table that is built, and says so about the others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from config.load import load_configuration
from config.yaml_reader import OverridesParser
from domain.candles import Interval
from domain.config_events import ABSENT, OverridesText
from entrypoints.container import (
    MEI_ALPHA_V1,
    BacktestContainer,
    BacktestInputs,
    DaemonContainer,
    DaemonParts,
    refuse_unbuilt,
)
from ports.datasets import CandleSet
from ports.strategy_config import ConfigError
from tests.builders import make_instrument
from tests.engine_builders import window_of


async def test_the_paper_row_builds_and_closes(tmp_path: Path) -> None:
    environ = {"AI_QUANT_USER_DIR": str(tmp_path), "AI_QUANT_SYMBOLS": "ETH,kPEPE"}
    configuration = load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0)
    refuse_unbuilt(configuration.settings)
    container = DaemonContainer(configuration=configuration)
    container.check_dependencies()
    parts: DaemonParts = container.parts()
    assert parts.universe.symbols == ("BTC", "ETH", "kPEPE"), "BTC is always there, in the market's order"
    assert container.venue() is container.venue(), "one venue behind all of its ports"
    await parts.close()


def test_the_backtest_row_builds(tmp_path: Path) -> None:
    window = window_of("BTC", 7_200_000, [100.0] * 3, Interval.H1)
    inputs = BacktestInputs(
        candles=CandleSet(Interval.H1, ("BTC",), (window,), ("test",)),
        funding=None,
        instruments=(make_instrument(),),
        parser=OverridesParser(False, None, ()),
        first_look=OverridesText("none", None, ABSENT, 0, 0, 0, 0),
        strategy=MEI_ALPHA_V1,
        strategy_deadline_ms=1_000,
        start_cash_usd=Decimal(1_000),
    )
    container = BacktestContainer(inputs=inputs)
    container.check_dependencies()
    assert container.backtest().run(inputs.candles.batches(container.universe())).bars == 3


@pytest.mark.parametrize(
    ("mode", "network"),
    [("paper", "mainnet"), ("paper", "testnet"), ("dry_live", "mainnet"), ("live", "local"), ("live", "mainnet")],
)
def test_rows_that_are_not_built_say_so_before_anything_is_opened(tmp_path: Path, mode: str, network: str) -> None:
    environ = {"AI_QUANT_MODE": mode, "AI_QUANT_NETWORK": network, "AI_QUANT_USER_DIR": str(tmp_path / "user")}
    configuration = load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0)
    with pytest.raises(ConfigError, match="Hyperliquid adapter"):
        refuse_unbuilt(configuration.settings)
    assert not (tmp_path / "user").exists()
