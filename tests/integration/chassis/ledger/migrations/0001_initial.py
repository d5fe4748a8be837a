"""The chassis' tables."""

from services.chassis import migrations
from services.chassis.schema import CONSUMER_SCHEMA, OUTBOX_SCHEMA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Goes up."""
    migrations.execute(OUTBOX_SCHEMA + CONSUMER_SCHEMA)
