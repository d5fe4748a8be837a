"""A relay in a process of its own, to be killed or frozen: `python -m ...relay_process DSN BOOTSTRAP NAME IDLE`."""

import asyncio
import sys

from services.chassis.outbox import OutboxRelay, relay


def main(dsn: str, bootstrap: str, name: str, idle_session_timeout: str) -> None:
    """Relays until killed."""
    relay.SESSION_SETTINGS["idle_session_timeout"] = idle_session_timeout
    asyncio.run(OutboxRelay(dsn=dsn, bootstrap=bootstrap, source="/sampan/test", name=name).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
