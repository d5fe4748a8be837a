"""Finds the events of an aggregate that were given up without reading all that were ever parked."""

from services.chassis import migrations
from services.chassis.schema import DISCARDED_SCHEMA

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the index."""
    migrations.execute(DISCARDED_SCHEMA)
