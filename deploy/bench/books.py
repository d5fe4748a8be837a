"""The proof that comes with every order figure: what was answered, what the orders database has, what the
warehouse keeps for it, and what the API says, held against each other."""

from dataclasses import asdict, dataclass
from typing import Any

from deploy.audit.checks import connected
from deploy.bench.world import World
from services.chassis.queries import load_queries


@dataclass(frozen=True, slots=True)
class Proof:
    """What the books say of the orders of one buyer, which is one part of the bench."""

    accepted: int
    """Orders answered with 2xx."""
    expected_reserved: int
    """How many of them there was stock for."""
    orders: int
    """Orders in the orders database."""
    reserved: int
    """Of those, the ones whose stock is reserved."""
    rejected: int
    """Of those, the ones that were refused."""
    reserved_api: int
    """Orders with reserved stock as the API lists them."""
    holds: int
    """Pending holds in the warehouse's database for the reserved orders."""
    ordered_units: int
    held_units: int
    """Units of the reserved orders' lines, and those that their holds keep."""
    oversold_database: int
    oversold_api: int
    """Units promised beyond those on hand, over the SKUs of the part; by the API over the bench's warehouse."""
    ledger_faults: int
    """Stock rows that are not the sum of their ledger."""
    reserved_faults: int
    """Stock rows whose reserved units are not the sum of their pending holds."""

    @property
    def oversold(self) -> int:
        """Units promised beyond the stock, whoever says so."""
        return max(0, self.oversold_database, self.oversold_api, self.reserved - self.expected_reserved)

    def faults(self) -> list[str]:
        """What does not agree, in words; empty where the figure is proven."""
        pairs = (
            ("orders stored", self.orders, "accepted", self.accepted),
            ("orders reserved", self.reserved, "reserved that had stock", self.expected_reserved),
            ("orders reserved by the API", self.reserved_api, "by the database", self.reserved),
            ("orders decided", self.reserved + self.rejected, "stored", self.orders),
            ("holds", self.holds, "orders reserved", self.reserved),
            ("units held", self.held_units, "units ordered", self.ordered_units),
        )
        found = [f"{many} {what}, {other} {than}" for what, many, than, other in pairs if many != other]
        wrong = (
            ("units oversold", self.oversold),
            ("stock rows differ from their ledger", self.ledger_faults),
            ("stock rows differ from their holds", self.reserved_faults),
        )
        return found + [f"{many} {what}" for what, many in wrong if many]

    def as_json(self) -> dict[str, Any]:
        """For the figures."""
        return asdict(self) | {"oversold": self.oversold, "holds_true": not self.faults()}


async def prove(
    world: World,
    buyer_ref: str,
    skus: list[str],
    *,
    accepted: int,
    expected_reserved: int,
    reserved_api: int,
    oversold_api: int,
) -> Proof:
    """Reads the books of both databases, for the SKUs given and those that were ordered."""
    queries = load_queries("deploy.bench")
    async with connected(world.dsns["orders"]) as connection:
        orders = await connection.fetchrow(queries["orders_of_buyer"], world.tenant_id, buyer_ref)
        reserved_ids = orders["reserved_ids"]
        named = await connection.fetchval(queries["skus_of_buyer"], world.tenant_id, buyer_ref, skus)
        ordered_units = await connection.fetchval(queries["units_of_orders"], reserved_ids)
    async with connected(world.dsns["warehouse"]) as connection:
        holds = await connection.fetchrow(queries["holds_of_orders"], reserved_ids)
        stock = await connection.fetchrow(queries["stock_of_skus"], world.tenant_id, named)
    return Proof(
        accepted=accepted,
        expected_reserved=expected_reserved,
        orders=orders["orders"],
        reserved=orders["reserved"],
        rejected=orders["rejected"],
        reserved_api=reserved_api,
        holds=holds["holds"],
        ordered_units=ordered_units,
        held_units=holds["units"],
        oversold_database=stock["oversold"],
        oversold_api=oversold_api,
        ledger_faults=stock["ledger_faults"],
        reserved_faults=stock["reserved_faults"],
    )
