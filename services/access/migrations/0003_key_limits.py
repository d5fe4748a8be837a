"""How many requests of a key are let in."""

from services.chassis import migrations

revision = "0003"
down_revision = "0002"

LIMITS = """
-- Requests per minute: reads, writes, orders, imports, streams; 0: any number.
ALTER TABLE api_keys ADD COLUMN limits integer[] NOT NULL DEFAULT '{0,0,0,0,0}'
    CONSTRAINT api_keys_limits_counted CHECK (0 <= ALL (limits));
"""


def upgrade() -> None:
    """Adds the column."""
    migrations.execute(LIMITS)
