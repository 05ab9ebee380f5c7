"""The decision log's first schema."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE gate_sets (
        id INTEGER NOT NULL, names TEXT NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE decisions (
        id INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, session TEXT NOT NULL,
        symbol TEXT NOT NULL, interval TEXT NOT NULL, open_ms INTEGER NOT NULL, batch_no INTEGER NOT NULL,
        signal INTEGER NOT NULL, confidence INTEGER NOT NULL, verdict INTEGER NOT NULL, gate TEXT,
        gate_value TEXT, gate_threshold TEXT, intent_id TEXT, config_digest TEXT NOT NULL,
        btc_bullish INTEGER, breadth_pct REAL, gate_set_id INTEGER NOT NULL, gates BLOB NOT NULL,
        entry_gates TEXT, note TEXT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(gate_set_id) REFERENCES gate_sets (id)
    ) STRICT
    """,
    """
    CREATE UNIQUE INDEX gate_sets_by_names ON gate_sets (names)
    """,
    """
    CREATE INDEX decisions_by_time ON decisions (at_ms, symbol)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
