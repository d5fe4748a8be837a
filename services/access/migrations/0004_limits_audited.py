"""Changes of limits in the audit, and what replicas of the gateway have let in."""

from services.chassis import migrations

revision = "0004"
down_revision = "0003"

ACTIONS = """
-- NOT VALID: the rows that are there have obeyed a stricter rule; the lock lasts no longer than it takes to say so.
-- The next statement puts a looser one in its place.
-- squawk-ignore ban-drop-constraint
ALTER TABLE audit DROP CONSTRAINT audit_action_known;
ALTER TABLE audit ADD CONSTRAINT audit_action_known CHECK (action IN (
    'TENANT_CREATED', 'TENANT_SUSPENDED', 'TENANT_ACTIVATED', 'TENANT_LIMITED',
    'KEY_CREATED', 'KEY_ROTATED', 'KEY_LIMITED', 'SECRET_REVOKED', 'KEY_REVOKED')) NOT VALID;
"""

USE = """
-- What each replica of the gateway has let in of a limit in a window, which began window_start seconds after 1970.
-- Unlogged: replicas tell their counts whole, so that what a crash has emptied is full again within seconds.
CREATE UNLOGGED TABLE rate_limit_use (
    window_start bigint NOT NULL,
    name         text   COLLATE "C" NOT NULL,
    replica_id   uuid   NOT NULL,
    requests     bigint NOT NULL,
    PRIMARY KEY (window_start, name, replica_id)
-- Room for the new versions of a row beside it: each is written once a second for a minute.
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    """Knows the new actions, and makes the table."""
    migrations.execute(ACTIONS)
    migrations.execute(USE)
