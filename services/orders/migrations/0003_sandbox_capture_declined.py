"""Captures that the sandbox provider declines; apart from 0002, so that no lock is kept while another is waited for."""

from services.chassis import migrations

revision = "0003"
down_revision = "0002"

STATES = """
-- As it stands where 0002 made it before; NOT VALID as there.
-- The next statement puts a looser one in its place.
-- squawk-ignore ban-drop-constraint
ALTER TABLE sandbox_payment DROP CONSTRAINT sandbox_payment_state_known;
ALTER TABLE sandbox_payment ADD CONSTRAINT sandbox_payment_state_known CHECK (state IN (
    'PENDING', 'AUTHORISED', 'CAPTURED', 'CAPTURE_DECLINED', 'DECLINED', 'REFUNDED')) NOT VALID;
"""


def upgrade() -> None:
    """Lets the new state in."""
    migrations.execute(STATES)
