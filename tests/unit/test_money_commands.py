"""`profit`, `daily`, `performance`, `balance` and `show-positions` over ledgers made for it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.ledger import LedgerIdentity
from domain.candles import CandleWindow, Interval
from domain.facts import (
    CashFlowRecorded,
    CashSet,
    ExitStateChanged,
    FillRecorded,
    FundingRecorded,
    LedgerFact,
    OrderChanged,
    PositionChanged,
    ProtectionLapsed,
    RiskChanged,
    TradeClosed,
)
from domain.fills import MatchedVia
from domain.intents import Action, Side
from domain.orders import Rejected, RejectReason, with_outcome
from domain.positions import GAP, Position
from domain.risk import Latch, RiskState
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from tests.ledger_facts import T0, accepted, exit_state, filled, intent, order_for, recorded, story, trade
from tests.sqlite_files import opened, run_sql, write_ledger

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
TODAY_MS = T0 // DAY_MS * DAY_MS
VERBS = ("profit", "daily", "performance", "balance", "show-positions")
LIVE = LedgerIdentity("live", "mainnet", "0xme")


class Shell:
    """The command line in this process, about one ledger."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.market = path.with_suffix(".market.sqlite")
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = run([*arguments, "--db", str(self.path)])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> Any:
        status, out, err = self(*arguments, "--json")
        assert status == ExitCode.DONE, err
        return json.loads(out, parse_float=Decimal)

    def write(self, *facts: LedgerFact) -> None:
        with opened(self.path) as ledger:
            ledger.commit(facts)

    def store(self, symbol: str, end_ms: int, close: float, interval: Interval = Interval.M1) -> None:
        """One candle that ended at `end_ms`."""
        numbers = (np.array([value]) for value in (close, close, close, close, 1.0))
        opened_at = np.array([end_ms - interval.ms], np.int64)
        with closing(SqliteCandleStore(self.market, ())) as store:
            store.confirm(CandleWindow(symbol, interval, opened_at, *numbers), 1)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "ledger.sqlite", capsys)


def short_eth(opened_ms: int = T0) -> tuple[LedgerFact, ...]:
    """Sold short by a decision of ours at 5x, with a stop that rests."""
    entry = replace(intent("ETH"), side=Side.SELL, leverage=Decimal(5))
    stop = replace(intent("ETH", action=Action.STOP, stop=True), size=Decimal("0.4"))
    position = Position(
        "ETH", Decimal("-0.4"), Decimal(3000), opened_ms, opened_ms, fees=Decimal("0.1"), intent_id=entry.intent_id
    )
    return (
        recorded(entry),
        filled(order_for(entry), "0.4"),
        PositionChanged(position),
        recorded(stop),
        accepted(order_for(stop), 78),
    )


# ── what all of them do ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", VERBS)
def test_a_ledger_that_is_not_there_is_named_and_not_made(shell: Shell, verb: str) -> None:
    status, out, err = shell(verb)
    assert (status, out) == (ExitCode.DATA, "")
    assert "ledger.sqlite: there is no ledger here. Start the daemon once to make it" in err
    assert not shell.path.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_ledger_of_an_older_schema_is_refused_with_what_to_do(shell: Shell, verb: str) -> None:
    write_ledger(shell.path, [])
    run_sql(shell.path, "PRAGMA user_version = 1")
    status, _, err = shell(verb)
    assert status == ExitCode.DATA
    assert "Start the daemon on it once" in err


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_ledger_has_friendly_words(shell: Shell, verb: str) -> None:
    write_ledger(shell.path, [])
    status, out, err = shell(verb)
    assert (status, err) == (ExitCode.DONE, "")
    friendly = {
        "profit": "profit comes with the first fill",
        "daily": "days begin with the first fill",
        "performance": "no trade has been closed yet",
        "balance": "the venue has not named the account's cash yet",
        "show-positions": "no position is open",
    }
    assert friendly[verb] in out
    assert isinstance(shell.json(verb), dict)


@pytest.mark.parametrize("verb", VERBS)
def test_a_daemon_that_writes_is_not_disturbed(shell: Shell, verb: str) -> None:
    write_ledger(shell.path, story())
    with opened(shell.path) as ledger:
        ledger.commit([recorded(intent("SOL"))])
        assert shell(verb)[0] == ExitCode.DONE
        ledger.commit([recorded(intent("DOGE"))])
        assert ledger.verify() is None


@pytest.mark.parametrize("verb", VERBS)
def test_a_row_that_cannot_be_read_is_damage_and_never_a_zero(shell: Shell, verb: str) -> None:
    write_ledger(shell.path, story())
    run_sql(
        shell.path,
        "UPDATE fills SET realised = 'a lot'",
        "UPDATE positions SET entry_price = 'a lot'",
    )
    status, out, err = shell(verb)
    assert (status, out) == (ExitCode.DATA, "")
    assert "'a lot' is not a plain decimal" in err


# ── marks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", ["profit", "balance", "show-positions"])
def test_without_a_mark_what_is_open_is_worth_the_unknown_not_zero(shell: Shell, verb: str) -> None:
    shell.write(CashSet(Decimal(1000), T0), *short_eth())
    status, out, err = shell(verb)
    assert status == ExitCode.DONE
    assert "unknown" in out
    assert "there is no candle store here" in err and "--market" in err
    told = shell.json(verb)
    if verb != "show-positions":
        assert told["unrealised"] is None
    if verb == "balance":
        assert told["equity"] is None and told["margin"] is None
        assert told["cash"] == Decimal("999.9")


def test_one_unknown_mark_makes_the_sum_unknown(shell: Shell) -> None:
    shell.write(*short_eth(), PositionChanged(Position("SOL", Decimal(2), Decimal(20), T0, T0)))
    shell.store("ETH", T0 // 60_000 * 60_000, 2900.0)
    told = shell.json("profit")
    assert [row["unrealised"] for row in told["positions"]] == [40, None]
    assert told["unrealised"] is None
    assert told["marks_note"].endswith("has no recent candle of SOL")
    assert "no mark for SOL" in shell("profit")[1]


def test_the_mark_is_the_close_that_ended_last_of_any_interval(shell: Shell) -> None:
    shell.write(*short_eth())
    hour = T0 // HOUR_MS * HOUR_MS
    shell.store("ETH", hour + HOUR_MS, 2950.0, Interval.H1)
    shell.store("ETH", hour + 30 * 60_000, 2800.0)
    [row] = shell.json("show-positions")["positions"]
    assert (row["mark_price"], row["mark_ms"], row["unrealised"]) == (2950, hour + HOUR_MS, 20)
    shell.store("ETH", hour + HOUR_MS + 60_000, 2990.5)
    [row] = shell.json("show-positions")["positions"]
    assert (row["mark_price"], row["unrealised"]) == (Decimal("2990.5"), Decimal("3.8"))


def test_a_close_far_behind_the_rest_of_the_store_is_no_mark(shell: Shell) -> None:
    shell.write(*short_eth())
    minute = T0 // 60_000 * 60_000
    shell.store("ETH", minute, 2900.0)
    shell.store("BTC", minute + 8 * DAY_MS, 50_000.0)
    [row] = shell.json("show-positions")["positions"]
    assert (row["mark_price"], row["unrealised"]) == (None, None)


def test_age_counts_to_the_ledgers_own_time_on_the_local_market(shell: Shell) -> None:
    shell.write(*short_eth(), CashSet(Decimal(1000), T0 + 200_000))
    minute = T0 // 60_000 * 60_000
    shell.store("ETH", minute, 2900.0)
    [row] = shell.json("show-positions")["positions"]
    assert row["mark_age_ms"] == T0 + 200_000 - minute
    assert "3 min 40 s" in shell("show-positions")[1]


def test_age_counts_to_now_where_time_is_the_systems(shell: Shell) -> None:
    with opened(shell.path, LIVE) as ledger:
        ledger.commit(short_eth())
    shell.store("ETH", T0 // 60_000 * 60_000, 2900.0)
    [row] = shell.json("show-positions")["positions"]
    assert row["mark_age_ms"] > 300 * DAY_MS, "2023 is long ago"


def test_another_candle_store_can_be_named_and_one_that_is_damaged_is_noted(shell: Shell, tmp_path: Path) -> None:
    shell.write(*short_eth())
    shell.store("ETH", T0 // 60_000 * 60_000, 2900.0)
    elsewhere = tmp_path / "elsewhere.sqlite"
    shell.market.rename(elsewhere)
    assert shell.json("profit", "--market", str(elsewhere))["unrealised"] == 40
    elsewhere.write_bytes(b"my diary\n" * 500)
    told = shell.json("profit", "--market", str(elsewhere))
    assert told["unrealised"] is None and "not a SQLite database" in told["marks_note"]


# ── profit ───────────────────────────────────────────────────────────────────────────────────────


def traded() -> list[LedgerFact]:
    """Three trades that closed, by decisions and by hand, and what is open costs a fee."""
    ours = replace(trade(closed_ms=T0 + 600_000), intent_id=intent().intent_id)
    lost = replace(trade("ETH", T0 + 700_000, "signal_flip"), side=Side.SELL, pnl=Decimal("-100"))
    unsure = replace(trade("SOL", T0 + DAY_MS, GAP), pnl=Decimal("-1"), fees=Decimal(0), funding=Decimal(0))
    opening = recorded(intent())
    entry = filled(opening.order, "0.5", fee="0.4")
    exit_fill = replace(entry.fill, tid=950, time_ms=T0 + 600_000, fee=Decimal("0.1"))
    return [
        opening,
        entry,
        FillRecorded(exit_fill, None, MatchedVia.EXTERNAL, Decimal(399), "manual", 19),
        FundingRecorded("BTC", T0 + 300_000, Decimal("0.5"), Decimal("0.0001"), Decimal("-0.02")),
        TradeClosed(ours, "{}", 40, "a"),
        TradeClosed(lost, "{}", 41, "b"),
        TradeClosed(unsure, "{}", 42, "c"),
    ]


def test_profit_tells_closed_trades_and_what_was_booked_apart(shell: Shell) -> None:
    shell.write(*traded())
    told = shell.json("profit")
    closed = told["closed_trades"]
    assert (closed["trades"], closed["wins"], closed["losses"]) == (3, 1, 2)
    assert (closed["realised"], closed["fees"], closed["net"]) == (399, Decimal("0.4"), Decimal("398.58"))
    assert (closed["best"]["net"], closed["best"]["symbol"]) == (Decimal("499.79"), "BTC")
    assert (closed["worst"]["net"], closed["worst"]["side"]) == (Decimal("-100.21"), "short")
    assert closed["profit_factor"] == Decimal("4.9381")
    assert closed["longest_losing_streak"] == 2
    assert told["booked"] == {
        "realised": 399,
        "fees": Decimal("0.5"),
        "funding": Decimal("-0.02"),
        "net": Decimal("398.48"),
    }
    assert told["in_no_closed_trade"]["net"] == Decimal("-0.1")
    assert told["max_drawdown"] == {"usd": Decimal("0.42"), "peak_ms": T0 + 61_300, "bottom_ms": T0 + 300_000}
    assert (told["first_closed_ms"], told["last_closed_ms"]) == (T0 + 600_000, T0 + DAY_MS)
    assert told["trades_with_missing_fills"] == 1
    assert (told["unrealised"], told["positions"]) == (0, []), "nothing is open: that is known"
    _, out, err = shell("profit")
    assert "398.58  of closed trades" in out and "398.48  what trading did to cash" in out
    assert "1 trades ended by fills that nobody has" in err


def test_profit_since_a_day_leaves_out_what_came_before(shell: Shell) -> None:
    shell.write(*traded())
    after = shell.json("profit", "--since", "2023-11-15")
    assert (after["closed_trades"]["trades"], after["closed_trades"]["net"]) == (1, -1)
    assert after["booked"]["net"] == 0
    assert shell.json("profit", "--since", str(T0 + 700_000))["closed_trades"]["trades"] == 2
    assert shell.json("profit", "--since", "2023-11-14T22:24:00+00:00")["closed_trades"]["trades"] == 2
    _, out, _ = shell("profit", "--since", "2023-11-15")
    assert "since 2023-11-15 00:00:00" in out and "all together" not in out
    assert "nothing since 2030-01-01 00:00:00 has been booked" in shell("profit", "--since", "2030-01-01")[1]


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "99999999999999999", "-5"])
def test_a_date_that_is_none_is_refused(shell: Shell, text: str) -> None:
    status, out, err = shell("profit", f"--since={text}")
    assert (status, out) == (ExitCode.USAGE, "")
    assert f"'{text}' is" in err


def test_a_losing_streak_follows_the_closes_not_the_order_in_which_they_were_told(shell: Shell) -> None:
    results = ((3, "-9"), (1, "-9"), (2, "9"))  # the closing minute, PnL: fills were told late
    for minute, pnl in results:
        closed = replace(trade(closed_ms=T0 + minute * 60_000), pnl=Decimal(pnl))
        shell.write(TradeClosed(closed, "{}", 40, str(minute)))
    told = shell.json("profit")
    assert told["closed_trades"]["longest_losing_streak"] == 1
    assert (told["first_closed_ms"], told["last_closed_ms"]) == (T0 + 60_000, T0 + 180_000)


def test_profit_of_one_symbol_counts_nothing_else(shell: Shell) -> None:
    shell.write(*traded())
    told = shell.json("profit", "--symbol", "ETH")
    assert (told["closed_trades"]["net"], told["booked"]["net"]) == (Decimal("-100.21"), 0)
    assert "nothing of DOGE has been booked yet" in shell("profit", "--symbol", "DOGE")[1]


# ── daily, performance ───────────────────────────────────────────────────────────────────────────


def test_daily_shows_days_without_trades_and_sums_up_the_earlier_ones(shell: Shell) -> None:
    shell.write(*traded(), CashSet(Decimal(1), T0 + 3 * DAY_MS))
    told = shell.json("daily")
    assert [(row["day"], row["trades"], row["net"]) for row in told["days"]] == [
        ("2023-11-14", 2, Decimal("398.48")),
        ("2023-11-15", 1, 0),
        ("2023-11-16", 0, 0),
        ("2023-11-17", 0, 0),
    ]
    assert told["earlier"]["days"] == 0
    lines = shell("daily", "--days", "3")[1].splitlines()
    assert lines[2].split()[:3] == ["earlier", "2", "1"]
    assert [line.endswith("no trades") for line in lines[2:6]] == [False, False, True, True]
    assert lines[3].split()[-1] == "398.48", "the day before yesterday's total goes on"
    assert shell.json("daily", "--days", "3")["earlier"]["net"] == Decimal("398.48")


def test_bars_are_as_long_as_days_are_good_or_bad(shell: Shell) -> None:
    good, bad = filled(order_for(intent())), filled(order_for(intent()), tid=901)
    later = replace(bad.fill, time_ms=bad.fill.time_ms + DAY_MS)
    shell.write(
        recorded(intent()),
        replace(good, realised=Decimal("40.1")),
        replace(bad, fill=later, realised=Decimal("-9.9")),
        FundingRecorded("BTC", T0 + 2 * DAY_MS, Decimal(1), Decimal(1), Decimal("0.001")),
    )
    bars = [line.split()[-1] for line in shell("daily")[1].splitlines()[2:5]]
    assert bars == ["+" * 20, "-" * 5, "+"]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("symbol", ["BTC", "SOL", "ETH"]),
        ("reason", ["stop_loss", "gap", "signal_flip"]),
        ("side", ["long", "short"]),
        ("hour", ["22"]),
        ("strategy", ["mei_alpha_v1", "external"]),
    ],
)
def test_performance_is_sorted_by_net_within_each_way_to_group(shell: Shell, by: str, names: list[str]) -> None:
    shell.write(*traded())
    assert [row["name"] for row in shell.json("performance", "--by", by)["rows"]] == names
    out = shell("performance", "--by", by)[1]
    assert [line.split()[0] for line in out.splitlines()[2 : 2 + len(names)]] == names
    assert "booked in all 398.48 USD" in out


# ── balance ──────────────────────────────────────────────────────────────────────────────────────


def test_cash_is_the_venues_last_word_and_what_was_booked_since(shell: Shell) -> None:
    entry = recorded(intent())
    fill_ms = filled(entry.order).fill.time_ms
    shell.write(
        entry,
        replace(filled(entry.order, fee="7"), realised=Decimal(3)),
        CashSet(Decimal("500.25"), fill_ms),  # the venue's word holds that fill already
        FundingRecorded("BTC", fill_ms + 1, Decimal(1), Decimal(1), Decimal("-0.05")),
        CashFlowRecorded("early", "deposit", fill_ms - 1, Decimal(100), T0),
        CashFlowRecorded("late", "withdraw", fill_ms + 2, Decimal(-20), T0),
    )
    told = shell.json("balance")
    assert (told["cash"], told["equity"], told["cash_named"]) == (
        Decimal("480.20"),
        Decimal("480.20"),
        Decimal("500.25"),
    )
    assert (told["flows_net"], [flow["id"] for flow in told["flows"]]) == (80, ["early", "late"])
    out = shell("balance")[1]
    assert "480.20  the venue said 500.25" in out
    assert "withdraw" in out and "-20.00" in out


def test_equity_margin_drawdown_and_the_days_result(shell: Shell) -> None:
    state = RiskState(Decimal(1250), TODAY_MS // DAY_MS, Decimal(1100), "daily_loss", paused="lunch")
    shell.write(CashSet(Decimal(1000), T0 + DAY_MS // 100), *short_eth(), RiskChanged(state, T0))
    shell.store("ETH", T0 // 60_000 * 60_000, 3250.0)
    told = shell.json("balance")
    assert (told["cash"], told["unrealised"], told["equity"]) == (1000, -100, 900)
    assert told["margin"] == 260, "0.4 × 3250 at 5x"
    assert told["drawdown_pct"] == 28
    assert told["day_pnl"] == -200
    assert (told["tripped"], told["paused"], told["latch"]) == ("daily_loss", "lunch", "open")
    shell.write(CashSet(Decimal(1000), T0 + DAY_MS))
    assert shell.json("balance")["day_pnl"] is None, "the next day's start is not on record"
    assert "today's start is not on record" in shell("balance")[1]


def test_a_shut_latch_is_told_with_its_reason(shell: Shell) -> None:
    state = RiskState(
        latch=Latch.HALT,
        latch_why="drawdown: too deep",
        latched_ms=T0,
        leaving=(("ETH", "kill hard"),),
        residuals=(("SOL", "below the smallest order"),),
    )
    shell.write(RiskChanged(state, T0))
    told = shell.json("balance")
    assert (told["latch"], told["latch_why"], told["latched_ms"]) == ("halt", "drawdown: too deep", T0)
    assert told["residuals"] == [{"symbol": "SOL", "why": "below the smallest order"}]
    out = shell("balance")[1]
    assert "halt" in out and "since 2023-11-14 22:13:20: drawdown: too deep" in out
    assert "kill hard" in out and "below the smallest order" in out


def test_a_position_without_a_leverage_on_record_has_no_margin(shell: Shell) -> None:
    held = PositionChanged(Position("SOL", Decimal(2), Decimal(20), T0, T0))
    shell.write(CashSet(Decimal(1000), T0), held)
    shell.store("SOL", T0 // 60_000 * 60_000, 21.0)
    told = shell.json("balance")
    assert (told["equity"], told["margin"]) == (1002, None)
    assert "no leverage is on record for SOL" in shell("balance")[1]


def test_margin_counts_the_lowest_leverage_of_all_entries(shell: Shell) -> None:
    add = replace(intent("ETH", T0 + 60_000, Action.ADD), side=Side.SELL, leverage=Decimal(2))
    shell.write(CashSet(Decimal(1000), T0), *short_eth(), recorded(add), filled(order_for(add), "0.1", tid=960))
    shell.store("ETH", T0 // 60_000 * 60_000, 3000.0)
    assert shell.json("balance")["margin"] == 600, "0.4 × 3000 at 2x"


# ── show-positions ───────────────────────────────────────────────────────────────────────────────


def test_a_position_tells_its_decision_its_stop_and_its_lapses(shell: Shell) -> None:
    lapse = ProtectionLapsed("ETH", T0 + 10, T0 + 5_010, "the stop was refused")
    before = ProtectionLapsed("ETH", T0 - 9_000, T0 - 1, "another position")
    shell.write(*short_eth(), lapse, before)
    [row] = shell.json("show-positions")["positions"]
    entry = intent("ETH")
    assert (row["side"], row["size"], row["entry_price"]) == ("short", Decimal("0.4"), 3000)
    assert (row["intent_id"], row["reason"], row["strategy"], row["leverage"]) == (
        entry.intent_id,
        "signal",
        "mei_alpha_v1",
        5,
    )
    [stop] = row["resting"]
    assert (stop["kind"], stop["trigger_price"], stop["left"], stop["status"], stop["reduce_only"]) == (
        "sl",
        49000,
        Decimal("0.4"),
        "open",
        True,
    )
    assert row["lapses"] == [{"since_ms": T0 + 10, "until_ms": T0 + 5_010, "why": "the stop was refused"}]
    assert not row["adopted"]
    _, out, err = shell("show-positions")
    assert f"{entry.intent_id[:12]} signal" in out
    assert out.splitlines()[1].split()[-3:] == ["49000", "none", "1"]
    assert "ETH was without a stop at the venue for 5 s: the stop was refused" in err


def test_a_stop_of_another_size_or_one_that_may_not_rest_yet_is_told(shell: Shell) -> None:
    stop = replace(intent("ETH", T0 + 60_000, Action.STOP, stop=True), size=Decimal("0.3"))
    shell.write(*short_eth(), recorded(stop))
    assert "49000, 49000 for 0.3 (sent)" in shell("show-positions")[1]


def test_a_stop_that_is_over_protects_nothing_and_is_not_shown(shell: Shell) -> None:
    stop = replace(intent("ETH", action=Action.STOP, stop=True), size=Decimal("0.4"))
    over = with_outcome(order_for(stop), Rejected(RejectReason.OTHER, "canceled meanwhile"))
    shell.write(*short_eth()[:3], recorded(stop), OrderChanged(over, T0 + 100_000))
    [row] = shell.json("show-positions")["positions"]
    assert row["resting"] == []
    assert shell("show-positions")[1].splitlines()[1].split()[-3:] == ["none", "none", "0"]


def test_what_nobody_here_decided_is_adopted_or_left_alone(shell: Shell) -> None:
    held = [PositionChanged(Position(name, Decimal(1), Decimal(20), T0, T0)) for name in ("DOGE", "SOL")]
    shell.write(*held, ExitStateChanged("SOL", replace(exit_state("SOL"), adopted=True)))
    out = shell("show-positions")[1]
    assert "nobody here; left alone" in out.splitlines()[1] and "nobody here; adopted" in out.splitlines()[2]
    rows = shell.json("show-positions", "--symbol", "SOL")["positions"]
    assert [(row["symbol"], row["adopted"], row["intent_id"]) for row in rows] == [("SOL", True, None)]
    assert "no position in BTC is open" in shell("show-positions", "--symbol", "BTC")[1]
