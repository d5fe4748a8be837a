"""Payments whose capture the provider refused for good."""

from services.chassis import migrations

revision = "0002"
down_revision = "0001"

STATES = """
-- NOT VALID: the rows that are there have obeyed a stricter rule; the lock lasts no longer than it takes to say so.
-- The next statement puts a looser one in its place.
-- squawk-ignore ban-drop-constraint
ALTER TABLE payments DROP CONSTRAINT payments_state_known;
ALTER TABLE payments ADD CONSTRAINT payments_state_known CHECK (state IN (
    'PENDING', 'AUTHORISED', 'CAPTURED', 'DECLINED', 'REFUND_PENDING', 'REFUNDED', 'CAPTURE_FAILED')) NOT VALID;
"""


def upgrade() -> None:
    """Lets the new state in."""
    migrations.execute(STATES)
