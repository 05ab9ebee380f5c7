"""The ledger's first schema."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE account (
        id INTEGER NOT NULL, cash_usd TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (id),
        CHECK (id = 1)
    ) STRICT
    """,
    """
    CREATE TABLE anchors (
        symbol TEXT NOT NULL, interval TEXT NOT NULL, open_ms INTEGER NOT NULL,
        PRIMARY KEY (symbol, interval)
    ) STRICT
    """,
    """
    CREATE TABLE config_versions (
        id INTEGER NOT NULL, digest TEXT NOT NULL, path TEXT NOT NULL, text TEXT NOT NULL,
        problems TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE exit_states (
        symbol TEXT NOT NULL, entry_atr REAL, confidence INTEGER NOT NULL, entry_adx_threshold REAL,
        tp_mult REAL, opened_key_ms INTEGER NOT NULL, locked_stop REAL, take_profit_taken INTEGER NOT NULL,
        adds INTEGER NOT NULL, last_add_ms INTEGER NOT NULL,
        PRIMARY KEY (symbol)
    ) STRICT
    """,
    """
    CREATE TABLE funding (
        symbol TEXT NOT NULL, time_ms INTEGER NOT NULL, size TEXT NOT NULL, rate TEXT NOT NULL,
        amount_usd TEXT NOT NULL,
        PRIMARY KEY (symbol, time_ms)
    ) STRICT
    """,
    """
    CREATE TABLE ledger_events (
        seq INTEGER NOT NULL, fact TEXT NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (seq)
    ) STRICT
    """,
    """
    CREATE TABLE meta (
        id INTEGER NOT NULL, mode TEXT NOT NULL, network TEXT NOT NULL, account TEXT NOT NULL,
        instance_tag BLOB NOT NULL, created_ms INTEGER NOT NULL, head_seq INTEGER NOT NULL,
        head_hash BLOB NOT NULL,
        PRIMARY KEY (id),
        CHECK (id = 1)
    ) STRICT
    """,
    """
    CREATE TABLE order_intents (
        intent_id TEXT NOT NULL, account TEXT NOT NULL, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        action TEXT NOT NULL, interval TEXT NOT NULL, open_ms INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        side TEXT NOT NULL, size TEXT NOT NULL, limit_price TEXT NOT NULL, time_in_force TEXT NOT NULL,
        reduce_only INTEGER NOT NULL, trigger_kind TEXT, trigger_price TEXT, leverage TEXT NOT NULL,
        decided_ms INTEGER NOT NULL, decided_seq INTEGER NOT NULL, deadline_ms INTEGER,
        reason TEXT NOT NULL, why TEXT NOT NULL, config_digest TEXT NOT NULL,
        PRIMARY KEY (intent_id)
    ) STRICT
    """,
    """
    CREATE TABLE positions (
        symbol TEXT NOT NULL, size TEXT NOT NULL, entry_price TEXT NOT NULL, opened_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL, peak_size TEXT NOT NULL, opened_size TEXT NOT NULL,
        opened_notional TEXT NOT NULL, closed_size TEXT NOT NULL, closed_notional TEXT NOT NULL,
        realised TEXT NOT NULL, fees TEXT NOT NULL, funding TEXT NOT NULL, intent_id TEXT,
        PRIMARY KEY (symbol)
    ) STRICT
    """,
    """
    CREATE TABLE risk_state (
        id INTEGER NOT NULL, peak_equity_usd TEXT, day INTEGER NOT NULL, day_start_equity_usd TEXT,
        tripped TEXT NOT NULL, updated_ms INTEGER NOT NULL,
        PRIMARY KEY (id),
        CHECK (id = 1)
    ) STRICT
    """,
    """
    CREATE TABLE fills (
        trade_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL,
        size TEXT NOT NULL, time_ms INTEGER NOT NULL, tid INTEGER NOT NULL, oid INTEGER NOT NULL,
        cloid TEXT, fee TEXT NOT NULL, start_position TEXT, hash TEXT NOT NULL, crossed INTEGER NOT NULL,
        liquidation INTEGER NOT NULL, intent_id TEXT, matched_via TEXT NOT NULL, reason TEXT NOT NULL,
        realised TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (trade_id),
        FOREIGN KEY(intent_id) REFERENCES order_intents (intent_id)
    ) STRICT
    """,
    """
    CREATE TABLE order_attempts (
        cloid TEXT NOT NULL, intent_id TEXT NOT NULL, attempt INTEGER NOT NULL, symbol TEXT NOT NULL,
        side TEXT NOT NULL, size TEXT NOT NULL, limit_price TEXT NOT NULL, time_in_force TEXT NOT NULL,
        reduce_only INTEGER NOT NULL, trigger_kind TEXT, trigger_price TEXT, leverage TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        PRIMARY KEY (cloid),
        FOREIGN KEY(intent_id) REFERENCES order_intents (intent_id)
    ) STRICT
    """,
    """
    CREATE TABLE trades (
        id INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, opened_ms INTEGER NOT NULL,
        closed_ms INTEGER NOT NULL, size TEXT NOT NULL, entry_price TEXT NOT NULL,
        exit_price TEXT NOT NULL, pnl TEXT NOT NULL, fees TEXT NOT NULL, funding TEXT NOT NULL,
        intent_id TEXT, exit_reason TEXT NOT NULL, meta_json TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(intent_id) REFERENCES order_intents (intent_id)
    ) STRICT
    """,
    """
    CREATE TABLE orders (
        cloid TEXT NOT NULL, status TEXT NOT NULL, oid INTEGER, filled TEXT NOT NULL, reason TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (cloid),
        FOREIGN KEY(cloid) REFERENCES order_attempts (cloid)
    ) STRICT
    """,
    """
    CREATE INDEX intents_by_symbol ON order_intents (symbol, decided_ms)
    """,
    """
    CREATE INDEX fills_by_hash ON fills (hash, tid)
    """,
    """
    CREATE UNIQUE INDEX attempts_once ON order_attempts (intent_id, attempt)
    """,
    """
    CREATE INDEX trades_by_symbol ON trades (symbol)
    """,
    """
    CREATE INDEX orders_live ON orders (status) WHERE status NOT IN ('filled', 'canceled', 'rejected', 'dead', 'would')
    """,
    """
    CREATE TRIGGER ledger_events_no_update BEFORE UPDATE ON ledger_events
    BEGIN
        SELECT RAISE(ABORT, 'ledger_events is append-only');
    END
    """,
    """
    CREATE TRIGGER ledger_events_no_delete BEFORE DELETE ON ledger_events
    BEGIN
        SELECT RAISE(ABORT, 'ledger_events is append-only');
    END
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
