"""What a handler leaves behind: one row per effect, so that a second one shows. Holds what SQL text may hold."""

from services.chassis import migrations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Goes up."""
    migrations.execute("""
        CREATE TABLE effect (
            id           bigint GENERATED ALWAYS AS IDENTITY,
            aggregate_id text   NOT NULL,
            version      bigint NOT NULL,
            text         text   NOT NULL DEFAULT ':not_a_parameter 100 %s %(also_not)s; '
        );
        CREATE TABLE counter (name text PRIMARY KEY, value bigint NOT NULL);
        INSERT INTO counter VALUES ('a', 0), ('b', 0);
        CREATE FUNCTION add_to(wanted text, amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE counter SET value = value + amount WHERE name = wanted;
            RETURN (SELECT value FROM counter WHERE name = wanted);
        END $$;
    """)
