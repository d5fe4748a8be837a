"""Finds the orders of a merchant, in any state, without reading those of others."""

from services.chassis import migrations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes the index while the table is in use."""
    migrations.execute_alone("DROP INDEX CONCURRENTLY IF EXISTS orders_by_merchant")
    migrations.execute_alone(
        "CREATE INDEX CONCURRENTLY orders_by_merchant "
        "ON orders (tenant_id, merchant_id, state, create_time, order_id)"
    )
