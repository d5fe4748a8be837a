"""Until when an endpoint has asked to be left alone."""

from services.chassis import migrations

revision = "0002"
down_revision = "0001"

PAUSE = """
-- By Retry-After; due_time is never before it.
ALTER TABLE endpoints ADD COLUMN paused_until timestamptz;
"""


def upgrade() -> None:
    """Adds the column."""
    migrations.execute(PAUSE)
