"""Finds products by their words, and those whose words are still to be made."""

from services.chassis import migrations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the indexes while the table is in use."""
    migrations.execute_alone("DROP INDEX CONCURRENTLY IF EXISTS products_wordless")
    migrations.execute_alone(
        "CREATE INDEX CONCURRENTLY products_wordless ON products (tenant_id, product_id) "
        "WHERE words_hash IS DISTINCT FROM content_hash"
    )
    migrations.execute_alone("DROP INDEX CONCURRENTLY IF EXISTS products_by_words")
    # What was added last is read through by every search, so it is kept short: 4 MB by default.
    migrations.execute_alone(
        "CREATE INDEX CONCURRENTLY products_by_words ON products USING gin (words) WITH (gin_pending_list_limit = 512)"
    )
