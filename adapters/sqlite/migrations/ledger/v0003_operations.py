"""The kill latch and what else risk limits remember, operators' acts, flows of cash, lapses of protection, adoption."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    "ALTER TABLE risk_state ADD COLUMN latch TEXT DEFAULT 'open' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN latch_why TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN latched_ms INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN paused TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN leaving TEXT DEFAULT '[]' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN residuals TEXT DEFAULT '[]' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN cooldowns TEXT DEFAULT '[]' NOT NULL",
    "ALTER TABLE risk_state ADD COLUMN slippage_bps TEXT DEFAULT '[]' NOT NULL",
    "ALTER TABLE exit_states ADD COLUMN adopted INTEGER DEFAULT 0 NOT NULL",
    """
    CREATE TABLE operator_acts (
        id INTEGER NOT NULL, request_id TEXT NOT NULL, verb TEXT NOT NULL, symbol TEXT, source TEXT NOT NULL,
        reason TEXT NOT NULL, is_done INTEGER NOT NULL, answer TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE cash_flows (
        flow_id TEXT NOT NULL, kind TEXT NOT NULL, time_ms INTEGER NOT NULL, amount_usd TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (flow_id)
    ) STRICT
    """,
    """
    CREATE TABLE protection_lapses (
        id INTEGER NOT NULL, symbol TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
