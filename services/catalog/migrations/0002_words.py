"""The words that products are found by."""

from services.chassis import migrations

revision = "0002"
down_revision = "0001"

WORDS = """
-- words: lexemes `tenant/word`. words_hash: the content_hash of the content that they are of; where it is another, a
-- release that knows of no words has stored the product, and the catalog makes up for it.
ALTER TABLE products ADD COLUMN words tsvector, ADD COLUMN words_hash bytea;
"""


def upgrade() -> None:
    """Adds the columns, empty."""
    migrations.execute(WORDS)
