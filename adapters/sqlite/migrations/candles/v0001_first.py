"""The candle store's first schema."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE candles (
        interval TEXT NOT NULL, open_ms INTEGER NOT NULL, symbol TEXT NOT NULL, o REAL NOT NULL,
        h REAL NOT NULL, l REAL NOT NULL, c REAL NOT NULL, v REAL NOT NULL,
        PRIMARY KEY (interval, open_ms, symbol)
    ) WITHOUT ROWID, STRICT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
