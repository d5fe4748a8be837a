"""The right of a relay to send: the session locks of its connection, for as long as PostgreSQL is known to hold them.

PostgreSQL ends a session that is silent for too long, or that an operator ends, and another relay takes over what it
had locked. A process that was frozen meanwhile knows nothing of it. So before each batch the right must be confirmed:
by an answer of the server to a question asked a short while ago, or by a new one.
"""

import asyncio
import math

import asyncpg

from services.chassis import pg

PROOF_S_MAX = 10.0
"""Below the time after which PostgreSQL ends a silent session."""


class RightLost(ConnectionError):
    """The connection, and with it the locks, may be gone: another relay may be sending."""


class Right:
    """The right to send that comes with the locks of one connection."""

    def __init__(self, connection: pg.Connection) -> None:
        self.lost = asyncio.Event()
        self._connection = connection
        self._proved_at_s = -math.inf
        self._asking = asyncio.Lock()
        connection.add_termination_listener(self._on_termination)

    async def confirm(self) -> None:
        """Returns while the right is known to be held; asks PostgreSQL where the last answer is too old.

        Raises `RightLost`.
        """
        self._check()
        if not self._is_fresh():
            await self.prove()

    async def prove(self) -> None:
        """Asks PostgreSQL, unless somebody just did; raises `RightLost`."""
        wanted_at_s = asyncio.get_running_loop().time()
        async with self._asking:
            self._check()
            if self._proved_at_s >= wanted_at_s:
                return
            # The answer proves what was when it was given, which may be long ago when it is read.
            asked_at_s = asyncio.get_running_loop().time()
            try:
                await self._connection.execute("SELECT 1")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                raise RightLost("the connection that holds the buckets is lost") from error
            self._proved_at_s = asked_at_s
        self._check()
        if not self._is_fresh():
            raise RightLost("PostgreSQL answered too late to be believed")

    def _is_fresh(self) -> bool:
        return asyncio.get_running_loop().time() - self._proved_at_s <= PROOF_S_MAX

    def _check(self) -> None:
        if self.lost.is_set() or self._connection.is_closed():
            raise RightLost("the connection that holds the buckets is closed")

    def _on_termination(self, _connection: object) -> None:
        self.lost.set()
