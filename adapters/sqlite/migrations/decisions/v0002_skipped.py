"""Candles that were not analysed, and why."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE TABLE candles_skipped (
        id INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, session TEXT NOT NULL,
        symbol TEXT NOT NULL, interval TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
