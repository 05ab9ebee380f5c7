"""One fill, order, intent or trade, back to the candle and the config behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from adapters.sqlite.explain_queries import Candidate, Chain, TradeChain, explain
from domain.candles import Interval
from domain.fills import ExternalKind
from domain.intents import Action, IntentKey, is_our_cloid
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import plain, print_json, say, utc

CONFIG_LINES = 12
"""Of a config's text; all of it is in --json."""

Row = Mapping[str, Any]

_WHY_EXTERNAL = {
    ExternalKind.MANUAL: "it carries no cloid, and its oid is of no order in here: somebody traded by hand",
    ExternalKind.LIQUIDATION: "the venue closed the position, its margin did not hold",
    ExternalKind.ADL: "the venue closed the position against somebody's loss that nobody could pay (ADL)",
    ExternalKind.TWAP: "it is a slice of a TWAP, which this program never places",
    ExternalKind.TPSL: "it is of a stop or target that was set by hand",
    ExternalKind.SETTLEMENT: "the market was delisted and settled",
    ExternalKind.OTHER_BOT: "it names an order of another program",
    ExternalKind.OPENING_BALANCE: "it was held before this ledger began",
}


@click.command(name="explain")
@click.argument("id_", metavar="ID")
@click.option("--db", metavar="FILE", help="A ledger other than the configured one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, id_: str, db: str | None, as_json: bool) -> None:
    """What led to ID, as the ledger has it: fill, order, attempt, intent, gates, candle, price, config.

    ID is a fill's trade id, tid or hash; an order's oid or cloid; an intent's id; a trade's number or the id of the
    fill that closed it. The first six hex digits do, if there is only one that begins so. Where an ID means several
    things, those are listed: name one as fill:ID, order:ID, intent:ID or trade:ID.
    """
    path = Path(db) if db is not None else read_configuration().settings.db_path
    found = explain(path, id_)
    if isinstance(found, list):
        ctx.exit(_none_or_many(found, id_, path, as_json=as_json))
    if as_json:
        print_json(_as_json(found))
    elif isinstance(found, TradeChain):
        _print_trade(found)
    else:
        _print_chain(found)


def _none_or_many(found: list[Candidate], text: str, path: Path, *, as_json: bool) -> ExitCode:
    if as_json:
        print_json({"kind": None, "candidates": [asdict(each) for each in found]})
    if not found:
        say(f"{text}: no fill, order, intent or trade of that name in {path}; ids are those of show-fills, show-orders")
        return ExitCode.FAILED
    say(f"{text} may be one of {len(found)}:")
    for each in found:
        say(f"  {each.kind}:{each.key}  {each.text}")
    return ExitCode.USAGE


# ── for scripts ──────────────────────────────────────────────────────────────────────────────────


def _as_json(found: Chain | TradeChain) -> dict[str, object]:
    if isinstance(found, TradeChain):
        ends = {"opened": found.opened, "closed": found.closed}
        told = {name: None if end is None else _as_json(end) for name, end in ends.items()}
        return {"kind": "trade", "key": found.key, "trade": found.trade, **told}
    intent = found.intent
    return {
        **asdict(found),
        "external": [
            {"trade_id": fill["trade_id"], "kind": fill["reason"], "why": _why_external(fill)}
            for fill in found.fills
            if fill["intent_id"] is None
        ],
        "gates": [] if intent is None else _gates(intent),
        "candle": None if intent is None else _candle(intent),
        "price": None if intent is None else _price(intent),
    }


def _gates(intent: Row) -> list[dict[str, object]]:
    why = intent["why"]
    return [dict(zip(("name", "value", "threshold", "passed"), gate, strict=False)) for gate in why.get("gates", ())]


def _candle(intent: Row) -> dict[str, object]:
    end_ms = intent["open_ms"] + Interval(intent["interval"]).ms
    return {
        "symbol": intent["symbol"],
        "interval": intent["interval"],
        "open_ms": intent["open_ms"],
        "end_ms": end_ms,
    }


def _price(intent: Row) -> dict[str, object]:
    why = intent["why"]
    return {"price": why.get("price"), "source": why.get("price_source"), "age_ms": why.get("price_age_ms")}


# ── for people ───────────────────────────────────────────────────────────────────────────────────


def _print_trade(found: TradeChain) -> None:
    trade = found.trade
    net = trade["pnl"] - trade["fees"] + trade["funding"]
    print(
        f"trade {found.key}: {trade['side']} {plain(trade['size'])} {trade['symbol']}, ended by {trade['exit_reason']}"
    )
    print(f"  from {utc(trade['opened_ms'])} at {_price_text(trade['entry_price'])}")
    print(f"  to   {utc(trade['closed_ms'])} at {_price_text(trade['exit_price'])}")
    parts = f"pnl {plain(trade['pnl'])}, fees {plain(trade['fees'])}, funding {plain(trade['funding'])}"
    print(f"  {parts}: {plain(net)} USD")
    print()
    print("── how it was opened " + "─" * 60)
    if found.opened is None:
        print("by no intent of this ledger: somebody else's trade")
    else:
        _print_chain(found.opened)
    print()
    print("── how it was closed " + "─" * 60)
    if found.closed is None:
        print("by fills that are not in this ledger, or before the closing fill was kept with a trade")
    else:
        _print_chain(found.closed)


def _print_chain(chain: Chain) -> None:
    for fill in chain.fills:
        _print_fill(fill)
    if not chain.fills:
        print(f"{chain.kind} {chain.key}: nothing has filled")
    for attempt in chain.attempts:
        _print_attempt(attempt)
    if chain.intent is not None:
        _print_intent(chain.intent)
        _print_config(chain.intent, chain.config)
    for trade in chain.trades:
        if chain.kind == "fill":
            print(f"it ended trade {trade['id']}: {trade['exit_reason']}, pnl {plain(trade['pnl'])}")
        else:
            print(f"it began trade {trade['id']}, which ended {utc(trade['closed_ms'])} with pnl {plain(trade['pnl'])}")
    for gap in chain.gaps:
        state = "still open" if gap["closed_ms"] is None else f"closed {utc(gap['closed_ms'])}: {gap['cause']}"
        print(
            f"gap near it: {plain(gap['expected'])} was expected before {gap['before_trade_id']}, the venue says "
            f"{plain(gap['found'])}; {state}"
        )
    for row in chain.differences:
        state = "still open" if row["closed_ms"] is None else f"closed {utc(row['closed_ms'])}: {row['how']}"
        print(f"difference near it ({row['kind']}): ours {row['ours']}, venue {row['venue']}; {row['cause']}; {state}")


def _print_fill(fill: Row) -> None:
    start = "" if fill["start_position"] is None else f", {plain(fill['start_position'])} held before"
    how = "taker" if fill["crossed"] else "maker"
    print(f"fill {fill['trade_id']}")
    print(
        f"  {fill['side']} {plain(fill['size'])} {fill['symbol']} at {plain(fill['price'])}, "
        f"{_stamp(fill['time_ms'])}, {how}"
    )
    print(f"  fee {plain(fill['fee'])}, realised {plain(fill['realised'])}{start}")
    print(f"  tid {fill['tid']}, oid {fill['oid']}, cloid {fill['cloid'] or '-'}, hash {fill['hash'] or '-'}")
    if fill["intent_id"] is None:
        print(f"  external, {fill['reason']}: {_why_external(fill)}")
    else:
        print(f"  ours, matched by {fill['matched_via']}")


def _why_external(fill: Row) -> str:
    cloid = fill["cloid"]
    if cloid is not None and is_our_cloid(cloid):
        return f"its cloid {cloid} is made as ours are, by a ledger that is not this one"
    known = {kind.value: text for kind, text in _WHY_EXTERNAL.items()}
    return known.get(fill["reason"], "nothing in this ledger asked for it")


def _print_attempt(attempt: Row) -> None:
    print(f"← order {attempt['oid'] if attempt['oid'] is not None else '(no oid)'}, cloid {attempt['cloid']}")
    reason = f": {attempt['reason']}" if attempt["reason"] else ""
    if attempt["status"] is not None:
        amounts = f"{plain(attempt['filled'])} of {plain(attempt['size'])} filled"
        print(f"  {attempt['status']}{reason}; {amounts}, as of {utc(attempt['updated_ms'])}")
    for row in attempt["evidence"]:
        venue = f", venue's time {utc(row['venue_ms'])}" if row["venue_ms"] else ""
        print(f"  evidence {row['kind']}: {row['text']} ({utc(row['at_ms'])}{venue})")
    print(f"← attempt {attempt['attempt']}, sent {_stamp(attempt['sent_ms'])}")
    if attempt["nonce"] is None:
        print("  not signed: no nonce, no action on record")
    else:
        expiry = f"expires {_stamp(attempt['expires_after_ms'])}"
        print(f"  nonce {attempt['nonce']}, {expiry}, action hash {attempt['action_hash']}")


def _print_intent(intent: Row) -> None:
    why: Row = intent["why"]
    trigger = ""
    if intent["trigger_kind"] is not None:
        trigger = f", {intent['trigger_kind']} trigger at {plain(intent['trigger_price'])}"
    only = ", reduce-only" if intent["reduce_only"] else f", leverage {plain(intent['leverage'])}"
    terms = f"{intent['action']} {intent['side']} {plain(intent['size'])} {intent['symbol']}"
    print(f"← intent {intent['intent_id']}: {intent['reason']}")
    print(f"  {terms}, limit {plain(intent['limit_price'])}, {intent['time_in_force']}{trigger}{only}")
    print(f"  key {_key(intent).text}")
    deadline = "" if intent["deadline_ms"] is None else f", not later than {_stamp(intent['deadline_ms'])}"
    print(f"  decided {_stamp(intent['decided_ms'])}, seq {intent['decided_seq']}{deadline}")
    if why.get("recovered"):
        proven = "its key is proven by the cloid" if why.get("key_proven") else "its key is unknown, this one stands in"
        print(f"  rebuilt from {why.get('known_from')} after the ledger was lost; {proven}")
    if "signal" in why:
        btc = {True: "up", False: "down", None: "unknown"}[why.get("btc_bullish")]
        breadth = "unknown" if why.get("breadth_pct") is None else f"{why['breadth_pct']:.0f} %"
        print(f"  signal {why['signal']} {why.get('confidence', '')}; BTC {btc}, breadth {breadth}")
    for name in ("rule", "level", "stop", "take_profit"):
        if why.get(name) is not None:
            print(f"  {name.replace('_', ' ')} {why[name]}")
    for gate in _gates(intent):
        answer = "ok" if gate.get("passed") else "NO"
        print(f"  gate {answer}  {gate['name']!s:<26}{_shown(gate['value']):>14}  needs {_shown(gate['threshold'])}")
    candle = _candle(intent)
    print(f"← candle {candle['symbol']} {candle['interval']} of {utc(intent['open_ms'])}, open_ms {intent['open_ms']}")
    price = _price(intent)
    if price["source"] is not None:
        age = "" if price["age_ms"] is None else f", {price['age_ms']} ms old"
        print(f"← price {_shown(price['price'])}, source {price['source']}{age}")


def _key(intent: Row) -> IntentKey:
    return IntentKey(
        intent["account"],
        intent["strategy"],
        intent["symbol"],
        Action(intent["action"]),
        Interval(intent["interval"]),
        intent["open_ms"],
        intent["ordinal"],
    )


def _print_config(intent: Row, config: Row | None) -> None:
    digest = intent["config_digest"]
    if config is None:
        print(f"← config {digest or 'unknown'}: not on record in this ledger")
        return
    print(f"← config {digest}, {config['path']}, in force since {utc(config['at_ms'])}")
    lines = config["text"].splitlines()
    for line in lines[:CONFIG_LINES]:
        print(f"  | {line}")
    if len(lines) > CONFIG_LINES:
        print(f"  | … {len(lines) - CONFIG_LINES} more lines: --json has all")


def _stamp(time_ms: int) -> str:
    return f"{utc(time_ms)}.{time_ms % 1000:03d}"


def _price_text(value: Decimal) -> str:
    return plain(round(value, 8))


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
