"""Orders are listed by the index of their states; the one by time alone is what the release before reads."""

from services.chassis import migrations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Drops the index while the table is in use."""
    migrations.execute_alone("DROP INDEX CONCURRENTLY IF EXISTS orders_by_time")
