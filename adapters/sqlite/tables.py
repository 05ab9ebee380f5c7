"""What stands in our three files, for the code that reads and writes them.

STRICT tables take Text, Integer, REAL and BLOB and nothing else. Amounts are TEXT decimals in
plain notation, times INTEGER milliseconds. `migrations/` creates all this; a test compares.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

LEDGER = sa.MetaData()
CANDLES = sa.MetaData()
DECISIONS = sa.MetaData()


def _text(
    name: str, *constraints: SchemaItem, null: bool = False, key: bool = False, default: str | None = None
) -> sa.Column[str]:
    """`default`, as SQL: what rows hold that were there before the column."""
    return sa.Column(name, sa.Text, *constraints, nullable=null, primary_key=key, server_default=_as_sql(default))


def _whole(
    name: str, *constraints: SchemaItem, null: bool = False, key: bool = False, default: str | None = None
) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *constraints, nullable=null, primary_key=key, server_default=_as_sql(default))


def _as_sql(default: str | None) -> sa.TextClause | None:
    return None if default is None else sa.text(default)


def _real(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.REAL, nullable=null)


def _blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.BLOB, nullable=False)


def _table(name: str, metadata: sa.MetaData, *columns: SchemaItem, rowid: bool = True) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True, sqlite_with_rowid=rowid)


def _one_row() -> tuple[SchemaItem, SchemaItem]:
    """The key of a table that holds a single row."""
    return _whole("id", key=True), sa.CheckConstraint("id = 1")


def _request_columns() -> tuple[sa.Column[str] | sa.Column[int], ...]:
    """What an intent asks for and each of its attempts repeats."""
    return (
        _text("side"),
        _text("size"),
        _text("limit_price"),
        _text("time_in_force"),
        _whole("reduce_only"),
        _text("trigger_kind", null=True),
        _text("trigger_price", null=True),
        _text("leverage"),
    )


meta = _table(
    "meta",
    LEDGER,
    *_one_row(),
    _text("mode"),
    _text("network"),
    _text("account"),
    _blob("instance_tag"),
    _whole("created_ms"),
    _whole("head_seq"),  # newest event of the chain and its hash: a chain cut short is seen
    _blob("head_hash"),
)

ledger_events = _table("ledger_events", LEDGER, _whole("seq", key=True), _text("fact"), _blob("hash"))

order_intents = _table(
    "order_intents",
    LEDGER,
    _text("intent_id", key=True),
    _text("account"),
    _text("strategy"),
    _text("symbol"),
    _text("action"),
    _text("interval"),
    _whole("open_ms"),
    _whole("ordinal"),
    *_request_columns(),
    _whole("decided_ms"),
    _whole("decided_seq"),
    _whole("deadline_ms", null=True),
    _text("reason"),
    _text("why"),
    _text("config_digest"),
)

order_attempts = _table(
    "order_attempts",
    LEDGER,
    _text("cloid", key=True),
    _text("intent_id", sa.ForeignKey("order_intents.intent_id")),
    _whole("attempt"),
    _text("symbol"),
    *_request_columns(),
    _whole("sent_ms"),
    _whole("nonce", null=True),  # what was signed: none at a simulated exchange
    _whole("expires_after_ms", null=True),
    _text("action_json", null=True),
    _text("action_hash", null=True),
)

order_evidence = _table(
    "order_evidence",
    LEDGER,
    _whole("id", key=True),
    _text("cloid", sa.ForeignKey("order_attempts.cloid")),
    _text("kind"),
    _whole("venue_ms"),
    _text("text"),
    _whole("at_ms"),
)

orders = _table(
    "orders",
    LEDGER,
    _text("cloid", sa.ForeignKey("order_attempts.cloid"), key=True),
    _text("status"),
    _whole("oid", null=True),
    _text("filled"),
    _text("reason"),
    _whole("updated_ms"),
)

fills = _table(
    "fills",
    LEDGER,
    _text("trade_id", key=True),
    _text("symbol"),
    _text("side"),
    _text("price"),
    _text("size"),
    _whole("time_ms"),
    _whole("tid"),
    _whole("oid"),
    _text("cloid", null=True),
    _text("fee"),
    _text("start_position", null=True),
    _text("hash"),
    _whole("crossed"),
    _text("intent_id", sa.ForeignKey("order_intents.intent_id"), null=True),
    _text("matched_via"),
    _text("reason"),
    _text("realised"),
    _whole("seq"),
    _text("cause", default="'order'"),
)

gaps = _table(
    "gaps",
    LEDGER,
    _whole("id", key=True),
    _text("symbol"),
    _text("after_trade_id", null=True),
    _text("before_trade_id"),
    _text("expected"),
    _text("found"),
    _whole("time_ms"),
    _whole("opened_ms"),
    _whole("closed_ms", null=True),
    _text("cause", null=True),
)

position_adjustments = _table(
    "position_adjustments",
    LEDGER,
    _whole("id", key=True),
    _text("symbol"),
    _text("size_before"),
    _text("size_after"),
    _text("price"),
    _whole("at_ms"),
    _text("kind"),
)

differences = _table(
    "differences",
    LEDGER,
    _whole("id", key=True),
    _text("key"),
    _text("kind"),
    _text("symbol"),
    _text("ours"),
    _text("venue"),
    _text("cause"),
    _whole("opened_ms"),
    _whole("closed_ms", null=True),
    _text("how", null=True),
)

cursors = _table("cursors", LEDGER, _text("name", key=True), _whole("until_ms"))

trades = _table(
    "trades",
    LEDGER,
    _whole("id", key=True),
    _text("symbol"),
    _text("side"),  # long or short
    _whole("opened_ms"),
    _whole("closed_ms"),
    _text("size"),
    _text("entry_price"),
    _text("exit_price"),
    _text("pnl"),
    _text("fees"),
    _text("funding"),
    _text("intent_id", sa.ForeignKey("order_intents.intent_id"), null=True),
    _text("exit_reason"),
    _text("meta_json"),
    _whole("seq"),
    _text("closing_trade_id", default="''"),  # '' before this was kept
)

positions = _table(
    "positions",
    LEDGER,
    _text("symbol", key=True),
    _text("size"),  # signed: long is positive
    _text("entry_price"),
    _whole("opened_ms"),
    _whole("updated_ms"),
    _text("peak_size"),
    _text("opened_size"),
    _text("opened_notional"),
    _text("closed_size"),
    _text("closed_notional"),
    _text("realised"),
    _text("fees"),
    _text("funding"),
    _text("intent_id", null=True),
)

funding = _table(
    "funding",
    LEDGER,
    _text("symbol", key=True),
    _whole("time_ms", key=True),
    _text("size"),
    _text("rate"),
    _text("amount_usd"),
)

exit_states = _table(
    "exit_states",
    LEDGER,
    _text("symbol", key=True),
    _real("entry_atr", null=True),  # NULL stands for a number that is not known (NaN)
    _whole("confidence"),
    _real("entry_adx_threshold", null=True),
    _real("tp_mult", null=True),
    _whole("opened_key_ms"),
    _real("locked_stop", null=True),
    _whole("take_profit_taken"),
    _whole("adds"),
    _whole("last_add_ms"),
    _whole("adopted", default="0"),
)

risk_state = _table(
    "risk_state",
    LEDGER,
    *_one_row(),
    _text("peak_equity_usd", null=True),
    _whole("day"),
    _text("day_start_equity_usd", null=True),
    _text("tripped"),
    _whole("updated_ms"),
    _text("latch", default="'open'"),
    _text("latch_why", default="''"),
    _whole("latched_ms", default="0"),
    _text("paused", default="''"),
    _text("leaving", default="'[]'"),  # JSON: pairs, as the two below, and decimals
    _text("residuals", default="'[]'"),
    _text("cooldowns", default="'[]'"),
    _text("slippage_bps", default="'[]'"),
)

operator_acts = _table(
    "operator_acts",
    LEDGER,
    _whole("id", key=True),
    _text("request_id"),
    _text("verb"),
    _text("symbol", null=True),
    _text("source"),
    _text("reason"),
    _whole("is_done"),
    _text("answer"),
    _whole("at_ms"),
)

cash_flows = _table(
    "cash_flows",
    LEDGER,
    _text("flow_id", key=True),
    _text("kind"),
    _whole("time_ms"),
    _text("amount_usd"),
    _whole("at_ms"),
)

protection_lapses = _table(
    "protection_lapses",
    LEDGER,
    _whole("id", key=True),
    _text("symbol"),
    _whole("since_ms"),
    _whole("until_ms"),
    _text("why"),
)

account = _table("account", LEDGER, *_one_row(), _text("cash_usd"), _whole("at_ms"))

config_versions = _table(
    "config_versions",
    LEDGER,
    _whole("id", key=True),
    _text("digest"),
    _text("path"),
    _text("text"),
    _text("problems"),  # JSON list of texts, empty when the config was put in force
    _whole("at_ms"),
)

anchors = _table("anchors", LEDGER, _text("symbol", key=True), _text("interval", key=True), _whole("open_ms"))

candles = _table(
    "candles",
    CANDLES,
    # Symbols close together, so the candles of one close lie together: a batch of 1,000 changes
    # a few pages, where the order (symbol, interval, open_ms) would change 1,000 of them.
    _text("interval", key=True),
    _whole("open_ms", key=True),
    _text("symbol", key=True),
    _real("o"),
    _real("h"),
    _real("l"),
    _real("c"),
    _real("v"),
    sa.Column("confirmed", sa.Integer, nullable=False, server_default=sa.text("0")),  # the venue's history says so too
    rowid=False,
)

# A journal of what the venue's history contradicted. Nothing in it happens once only: it has no key.
candle_revisions = _table(
    "candle_revisions",
    CANDLES,
    _text("symbol"),
    _text("interval"),
    _whole("open_ms"),
    _whole("noticed_ms"),
    *(_real(f"{name}_{when}") for when in ("before", "now") for name in "ohlcv"),
)

gate_sets = _table("gate_sets", DECISIONS, _whole("id", key=True), _text("names"))  # JSON list of texts

decisions = _table(
    "decisions",
    DECISIONS,
    _whole("id", key=True),
    _whole("seq"),
    _whole("at_ms"),
    _text("session"),
    _text("symbol"),
    _text("interval"),
    _whole("open_ms"),
    _whole("batch_no"),
    _whole("signal"),
    _whole("confidence"),
    _whole("verdict"),
    _text("gate", null=True),  # the first that said no, with its value and threshold as text
    _text("gate_value", null=True),
    _text("gate_threshold", null=True),
    _text("intent_id", null=True),
    _text("config_digest"),
    _whole("btc_bullish", null=True),
    _real("breadth_pct", null=True),
    _whole("gate_set_id", sa.ForeignKey("gate_sets.id")),
    _blob("gates"),
    _text("entry_gates", null=True),  # JSON list of [name, value, threshold, passed]
    _text("note"),
)

candles_skipped = _table(
    "candles_skipped",
    DECISIONS,
    _whole("id", key=True),
    _whole("seq"),
    _whole("at_ms"),
    _text("session"),
    _text("symbol"),
    _text("interval"),
    _whole("first_ms"),
    _whole("last_ms"),
    _text("reason"),
)

ENDED = sa.text("orders.status IN ('filled', 'canceled', 'rejected', 'dead', 'would')")
MAY_LIVE = sa.text("status NOT IN ('filled', 'canceled', 'rejected', 'dead', 'would')")
"""Orders that the venue may still hold, spelled as the index on them is: only then is it used.

A status that nobody knows is not among the ended ones, so its order is looked at, and refused.
"""

sa.Index("orders_live", orders.c.status, sqlite_where=MAY_LIVE)
sa.Index("fills_by_hash", fills.c.hash, fills.c.tid)
sa.Index("attempts_once", order_attempts.c.intent_id, order_attempts.c.attempt, unique=True)
sa.Index("trades_by_symbol", trades.c.symbol)
sa.Index("trades_once", trades.c.closing_trade_id, unique=True, sqlite_where=sa.text("closing_trade_id <> ''"))
sa.Index("evidence_by_cloid", order_evidence.c.cloid)
sa.Index("fills_by_symbol", fills.c.symbol, fills.c.time_ms)
sa.Index("attempts_by_symbol", order_attempts.c.symbol, order_attempts.c.sent_ms)
sa.Index("gaps_open", gaps.c.before_trade_id, sqlite_where=sa.text("closed_ms IS NULL"))
sa.Index("differences_open", differences.c.key, sqlite_where=sa.text("closed_ms IS NULL"))
sa.Index("intents_by_symbol", order_intents.c.symbol, order_intents.c.decided_ms)
sa.Index("gate_sets_by_names", gate_sets.c.names, unique=True)
sa.Index("decisions_by_time", decisions.c.at_ms, decisions.c.symbol)  # grows at its end alone; by symbol it would not


def insert_sql(table: sa.Table) -> str:
    """INSERT with named values: `:column` for every column."""
    names = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"


def upsert_sql(table: sa.Table) -> str:
    """INSERT that replaces the row of the same primary key. For states, never for what happens once."""
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"{insert_sql(table)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
