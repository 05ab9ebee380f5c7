"""Which candles the venue's history has confirmed, and what it has contradicted. Nothing stored before is confirmed."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    ALTER TABLE candles ADD COLUMN confirmed INTEGER DEFAULT 0 NOT NULL
    """,
    """
    CREATE TABLE candle_revisions (
        symbol TEXT NOT NULL, interval TEXT NOT NULL, open_ms INTEGER NOT NULL, noticed_ms INTEGER NOT NULL,
        o_before REAL NOT NULL, h_before REAL NOT NULL, l_before REAL NOT NULL, c_before REAL NOT NULL,
        v_before REAL NOT NULL, o_now REAL NOT NULL, h_now REAL NOT NULL, l_now REAL NOT NULL,
        c_now REAL NOT NULL, v_now REAL NOT NULL
    ) STRICT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
