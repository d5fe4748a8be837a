"""Request ids, which a service keeps so that a repeated request gets its first answer.

What is kept with one is the service's: its table `request_key` has an indexed `create_time`, and whatever it wants.
"""

from services.chassis.pg import Connection, Database
from services.chassis.queries import load_queries


async def forget(database: Database, *, older_than_s: float, limit: int) -> int:
    """Forgets request ids older than that, at most `limit` of them; how many. Replicas do not wait for each other."""

    async def work(connection: Connection) -> int:
        query = load_queries("services.chassis")["forget_request_keys"]
        done: str = await connection.execute(query, older_than_s, limit)
        return int(done.rpartition(" ")[2])

    return await database.transact(work)
