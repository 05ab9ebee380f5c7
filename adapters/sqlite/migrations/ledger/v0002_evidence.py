"""What was signed, what was found out about unknown orders, gaps between fills, differences from the venue's books."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE order_attempts ADD COLUMN nonce INTEGER",
    "ALTER TABLE order_attempts ADD COLUMN expires_after_ms INTEGER",
    "ALTER TABLE order_attempts ADD COLUMN action_json TEXT",
    "ALTER TABLE order_attempts ADD COLUMN action_hash TEXT",
    "ALTER TABLE fills ADD COLUMN cause TEXT DEFAULT 'order' NOT NULL",
    "UPDATE fills SET cause = 'liquidation' WHERE liquidation = 1",
    "ALTER TABLE fills DROP COLUMN liquidation",
    "ALTER TABLE trades ADD COLUMN closing_trade_id TEXT DEFAULT '' NOT NULL",
    """
    CREATE TABLE order_evidence (
        id INTEGER NOT NULL, cloid TEXT NOT NULL, kind TEXT NOT NULL, venue_ms INTEGER NOT NULL, text TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(cloid) REFERENCES order_attempts (cloid)
    ) STRICT
    """,
    """
    CREATE TABLE gaps (
        id INTEGER NOT NULL, symbol TEXT NOT NULL, after_trade_id TEXT, before_trade_id TEXT NOT NULL,
        expected TEXT NOT NULL, found TEXT NOT NULL, time_ms INTEGER NOT NULL, opened_ms INTEGER NOT NULL,
        closed_ms INTEGER, cause TEXT,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE position_adjustments (
        id INTEGER NOT NULL, symbol TEXT NOT NULL, size_before TEXT NOT NULL, size_after TEXT NOT NULL,
        price TEXT NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE differences (
        id INTEGER NOT NULL, "key" TEXT NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL, ours TEXT NOT NULL,
        venue TEXT NOT NULL, cause TEXT NOT NULL, opened_ms INTEGER NOT NULL, closed_ms INTEGER, how TEXT,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE cursors (
        name TEXT NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (name)
    ) STRICT
    """,
    "CREATE INDEX evidence_by_cloid ON order_evidence (cloid)",
    "CREATE INDEX fills_by_symbol ON fills (symbol, time_ms)",
    "CREATE INDEX attempts_by_symbol ON order_attempts (symbol, sent_ms)",
    "CREATE INDEX gaps_open ON gaps (before_trade_id) WHERE closed_ms IS NULL",
    'CREATE INDEX differences_open ON differences ("key") WHERE closed_ms IS NULL',
    "CREATE UNIQUE INDEX trades_once ON trades (closing_trade_id) WHERE closing_trade_id <> ''",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
