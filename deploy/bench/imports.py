"""The importing part of the bench: new products through the gateway, beside plain COPY of the same rows."""

import time

import msgspec

from deploy.audit.checks import connected
from deploy.bench import shop
from deploy.bench.orders import Run
from deploy.bench.world import World
from services.chassis.queries import load_queries

CATEGORY = "bench-import"


class _Summary(msgspec.Struct):
    created: int = 0
    failed: int = 0


def ids_of(names: shop.Shop, part: str, rows: int) -> list[str]:
    """Product ids that no other run has."""
    return [f"bench.{part}.{names.run}.{number:06d}" for number in range(rows)]


async def import_rows(world: World, ids: list[str]) -> Run:
    """New rows per second from the first byte sent to the answer, which counts every row; then the catalog's books."""
    body = b"".join(shop.product_row(one, CATEGORY) for one in ids)
    started = time.perf_counter()
    reply = shop.must(
        await world.api.post(
            "/v1/imports/products",
            body,
            content_type="application/x-ndjson",
            timeout_s=shop.IMPORT_TIMEOUT_S,
        )
    )
    elapsed_s = time.perf_counter() - started
    summary = msgspec.json.decode(reply.body, type=_Summary)
    prefix = ids[0].rpartition(".")[0] + "."
    async with connected(world.dsns["catalog"]) as connection:
        stored = await connection.fetchval(
            load_queries("deploy.bench")["count_products"], world.tenant_id, prefix
        )
    faults = [] if summary.created == stored == len(ids) else ["rows sent, created and stored differ"]
    return {
        "per_s": round(len(ids) / elapsed_s, 1),
        "rows": len(ids),
        "elapsed_s": round(elapsed_s, 3),
        "proof": {"sent": len(ids), "created": summary.created, "stored": stored, "failed": summary.failed},
        "faults": faults,
    }
