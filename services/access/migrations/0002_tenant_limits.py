"""How many requests of a tenant are let in."""

from services.chassis import migrations

revision = "0002"
down_revision = "0001"

LIMITS = """
-- Requests per minute: reads, writes, orders, imports, streams; 0: any number.
ALTER TABLE tenants ADD COLUMN limits integer[] NOT NULL DEFAULT '{0,0,0,0,0}'
    CONSTRAINT tenants_limits_counted CHECK (0 <= ALL (limits));
"""


def upgrade() -> None:
    """Adds the column."""
    migrations.execute(LIMITS)
