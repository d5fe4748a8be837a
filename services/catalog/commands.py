"""The use cases. Each owns its transaction, whose outbox holds the snapshots of what it changed.

Row locks are taken in one order everywhere: heads of products by id, then SKUs by SKU, then new products by
id and new SKUs by SKU. What two transactions add at the same time is settled by the primary keys: the later
one starts again and finds the earlier one's rows.
"""

import itertools
import operator
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from services.catalog import store
from services.catalog.domain import changes, checks, merchants, products, words
from services.catalog.domain.changes import Claims, Comparison, Refusal, Upsert
from services.catalog.domain.merchants import Merchant, StoredMerchant
from services.catalog.domain.products import Product, Status, StoredProduct
from services.catalog.errors import (
    EtagMismatch,
    MerchantExists,
    MerchantNotFound,
    ProductExists,
    ProductNotFound,
)
from services.chassis import clock, crash, fields, log, outbox, pages, trace
from services.chassis.envelope import OutboxMessage
from services.chassis.errors import FieldRequired, RequestIdReused, TooManyItems
from services.chassis.pg import Connection, Database

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
BATCH_GET_MAX = 200
KNOWN_MERCHANTS_MAX = 10_000

T = TypeVar("T")
D = TypeVar("D", Comparison, Claims)
SnapshotBuilder = Callable[[str, Sequence[StoredProduct]], list[OutboxMessage]]
"""Builds the events that tell the new state of a tenant's products."""

_log = log.get(__name__)


class ProductFilter(NamedTuple):
    """Which products a list is of; empty text and UNSPECIFIED stand for all."""

    merchant_id: str = ""
    category: str = ""
    status: int = Status.UNSPECIFIED


class MerchantPage(NamedTuple):
    """Some merchants, and the token of the next page; empty on the last."""

    merchants: list[StoredMerchant]
    next_page_token: str


class ProductPage(NamedTuple):
    """Some products, whether more follow, and the hash of what was asked."""

    products: list[StoredProduct]
    more: bool
    bound_to: bytes

    def token_after(self, count: int) -> str:
        """The token that goes on after the first `count` products; empty at the end."""
        if count == len(self.products) and not self.more:
            return ""
        return pages.encode(self.bound_to, [self.products[count - 1].product.product_id])


class ImportOutcome(NamedTuple):
    """What became of a chunk of upserts, counted in upserts."""

    created: int
    updated: int
    unchanged: int
    refusals: list[Refusal]


class Catalog:
    """The catalog's use cases on one database. `after_commit` is called when there may be news to publish."""

    def __init__(
        self,
        database: Database,
        *,
        snapshots: SnapshotBuilder,
        after_commit: Callable[[], None],
        now: clock.Clock = clock.now_utc,
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._after_commit = after_commit
        self._now = now
        # Merchants are never removed, so one that was seen is known for good.
        self._known_merchants: set[tuple[str, str]] = set()

    async def create_merchant(self, tenant_id: str, merchant: Merchant) -> StoredMerchant:
        """Adds a merchant, or returns the stored one of the same content; raises MerchantExists."""
        checks.tenant_id(tenant_id)
        merchants.validated(merchant)
        create_time = self._now()

        async def work(connection: Connection) -> StoredMerchant:
            if await store.insert_merchant(connection, tenant_id, merchant, create_time):
                return StoredMerchant(merchant, create_time)
            stored = await store.merchant(connection, tenant_id, merchant.merchant_id)
            if stored is None or stored.merchant != merchant:
                raise MerchantExists(merchant.merchant_id)
            return stored

        stored = await self._database.transact(work)
        _log_if_sampled("merchant stored", merchant_id=merchant.merchant_id)
        return stored

    async def get_merchant(self, tenant_id: str, merchant_id: str) -> StoredMerchant:
        """One merchant; raises MerchantNotFound."""
        checks.tenant_id(tenant_id)
        if not checks.can_be_merchant_id(merchant_id):
            raise MerchantNotFound(merchant_id)
        async with self._database.connection() as connection:
            stored = await store.merchant(connection, tenant_id, merchant_id)
        if stored is None:
            raise MerchantNotFound(merchant_id)
        return stored

    async def list_merchants(self, tenant_id: str, page_size: int, page_token: str) -> MerchantPage:
        """A page of merchants in the order of their ids."""
        checks.tenant_id(tenant_id)
        size = _page_size(page_size)
        bound_to = pages.filter_hash(tenant_id, "merchants")
        async with self._database.connection() as connection:
            found = await store.merchants_after(connection, tenant_id, _after(bound_to, page_token), size + 1)
        more = len(found) > size
        found = found[:size]
        return MerchantPage(found, pages.encode(bound_to, [found[-1].merchant.merchant_id]) if more else "")

    async def create_product(self, tenant_id: str, request_id: str, product: Product) -> StoredProduct:
        """Adds a product; the same request id with the same content gets the same answer again.

        Raises ProductExists, MerchantNotFound, SkuTaken, RequestIdReused.
        """
        checks.tenant_id(tenant_id)
        fields.request_id(request_id)
        fingerprint = products.request_fingerprint(product)
        upsert = changes.upsert(0, product)
        now = self._now()
        answer = StoredProduct(products.with_status(product, product.status or Status.ACTIVE), 1, now, now)

        async def work(connection: Connection) -> StoredProduct:
            if not await store.insert_request_key(connection, tenant_id, request_id, fingerprint, answer):
                return await _repeated_answer(connection, tenant_id, request_id, fingerprint)
            heads = await store.lock_heads(connection, tenant_id, [product.product_id])
            if heads:
                raise ProductExists(product.product_id)
            known = await self._merchants_of(connection, tenant_id, [upsert])
            comparison = changes.compare([upsert], heads, known, now)
            _unrefused(await self._write(connection, tenant_id, _unrefused(comparison)))
            return answer

        stored = await self._transact(work)
        _log_if_sampled("product created", product_id=product.product_id)
        return stored

    async def update_product(self, tenant_id: str, etag: str, product: Product) -> StoredProduct:
        """Replaces a product's content; without a difference nothing happens.

        Raises ProductNotFound, EtagMismatch, MerchantImmutable, SkuTaken.
        """
        checks.tenant_id(tenant_id)
        checks.etag(etag)
        upsert = changes.upsert(0, product)
        now = self._now()

        async def work(connection: Connection) -> StoredProduct:
            heads = await store.lock_heads(connection, tenant_id, [product.product_id])
            head = heads.get(product.product_id)
            if head is None:
                raise ProductNotFound(product.product_id)
            if etag not in (products.ANY_ETAG, products.etag_of(head.version)):
                raise EtagMismatch(product.product_id)
            comparison = _unrefused(changes.compare([upsert], heads, (), now))
            if not comparison.changes:
                return (await store.products(connection, tenant_id, [product.product_id]))[product.product_id]
            claims = _unrefused(await self._write(connection, tenant_id, comparison))
            return claims.changes[0].stored

        stored = await self._transact(work)
        _log_if_sampled("product updated", product_id=product.product_id, version=stored.version)
        return stored

    async def get_product(self, tenant_id: str, product_id: str) -> StoredProduct:
        """One product; raises ProductNotFound."""
        found = (await self.get_products(tenant_id, [product_id]))[0]
        if found is None:
            raise ProductNotFound(product_id)
        return found

    async def get_products(self, tenant_id: str, product_ids: Sequence[str]) -> list[StoredProduct | None]:
        """The products in the order asked, None where there is none; one query."""
        checks.tenant_id(tenant_id)
        if not product_ids:
            raise FieldRequired("product_ids")
        if len(product_ids) > BATCH_GET_MAX:
            raise TooManyItems("product_ids", BATCH_GET_MAX)
        possible = sorted(filter(checks.can_be_product_id, set(product_ids)))
        if not possible:
            return [None] * len(product_ids)
        async with self._database.connection() as connection:
            found = await store.products(connection, tenant_id, possible)
        return [found.get(product_id) for product_id in product_ids]

    async def list_products(
        self, tenant_id: str, chosen: ProductFilter, page_size: int, page_token: str, *, query: str = ""
    ) -> ProductPage:
        """A page of the products that pass the filter and have every word of the query, in the order of their ids."""
        checks.tenant_id(tenant_id)
        if chosen.merchant_id:
            checks.merchant_id(chosen.merchant_id)
        checks.category(chosen.category)
        products.status(chosen.status)
        size = _page_size(page_size)
        asked = words.asked(query) if query else []
        bound_to = pages.filter_hash(tenant_id, "products", *chosen, *asked)
        after = _after(bound_to, page_token)
        async with self._database.connection() as connection:
            product_ids = await store.product_ids_after(
                connection, tenant_id, after, **chosen._asdict(), limit=size + 1, asked=asked
            )
            more = len(product_ids) > size
            product_ids = product_ids[:size]
            found = await store.products(connection, tenant_id, product_ids) if product_ids else {}
        return ProductPage([found[product_id] for product_id in product_ids], more, bound_to)

    async def import_products(self, tenant_id: str, upserts: Sequence[Upsert]) -> ImportOutcome:
        """Upserts a chunk in one transaction; what cannot be kept is refused row by row."""
        checks.tenant_id(tenant_id)
        if not upserts:
            return ImportOutcome(0, 0, 0, [])
        wanted = changes.last_of_each(upserts)
        now = self._now()

        async def work(connection: Connection) -> ImportOutcome:
            heads = await store.lock_heads(connection, tenant_id, sorted(wanted))
            known = await self._merchants_of(connection, tenant_id, upserts)
            comparison = changes.compare(wanted.values(), heads, known, now)
            claims = await self._write(connection, tenant_id, comparison)
            created = sum(change.is_new for change in claims.changes)
            refusals = comparison.refusals + claims.refusals
            # Also those that a later row of the same product has replaced.
            unchanged = len(upserts) - len(claims.changes) - len(refusals)
            return ImportOutcome(created, len(claims.changes) - created, unchanged, refusals)

        outcome = await self._transact(work)
        _log_if_sampled(
            "chunk imported",
            created=outcome.created,
            updated=outcome.updated,
            unchanged=outcome.unchanged,
            refused=len(outcome.refusals),
        )
        return outcome

    async def fill_words(self, after: tuple[str, str], *, limit: int) -> list[tuple[str, str]]:
        """Lets products behind one be found by their words, where an earlier release stored them without; which.

        That is at most `limit` of them, by tenant and id in this order. Nothing that anybody reads changes.
        """

        async def work(connection: Connection) -> list[tuple[str, str]]:
            locked = await store.lock_wordless(connection, after, limit)
            for tenant_id, keys in itertools.groupby(locked, key=operator.itemgetter(0)):
                found = await store.products(connection, tenant_id, [product_id for _, product_id in keys])
                await store.update_words(connection, tenant_id, (one.product for one in found.values()))
            return locked

        return await self._database.transact(work)

    async def _transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        result = await self._database.transact(work)
        crash.crash_point("catalog.write.after_commit")
        self._after_commit()
        return result

    async def _write(self, connection: Connection, tenant_id: str, comparison: Comparison) -> Claims:
        """Stores changes of products whose heads are locked, and their snapshots in the outbox."""
        wanted = comparison.changes
        if not wanted:
            return Claims([], [], [])
        owners = await store.lock_skus(
            connection,
            tenant_id,
            [sku for change in wanted for sku in change.skus()],
            [change.stored.product.product_id for change in wanted if not change.is_new],
        )
        claims = changes.claim_skus(wanted, owners)
        if claims.changes:
            await store.write_products(connection, tenant_id, claims)
            crash.crash_point("catalog.write.before_outbox")
            snapshots = self._snapshots(tenant_id, [change.stored for change in claims.changes])
            await outbox.append(connection, snapshots)
            crash.crash_point("catalog.write.before_commit")
        return claims

    async def _merchants_of(
        self, connection: Connection, tenant_id: str, upserts: Iterable[Upsert]
    ) -> frozenset[str]:
        """Those merchants of the upserts that exist."""
        named = {item.product.merchant_id for item in upserts}
        known = frozenset(name for name in named if (tenant_id, name) in self._known_merchants)
        if len(known) == len(named):
            return known
        found = await store.known_merchants(connection, tenant_id, sorted(named - known))
        if len(self._known_merchants) + len(found) > KNOWN_MERCHANTS_MAX:
            self._known_merchants.clear()
        self._known_merchants.update((tenant_id, name) for name in found)
        return known | found


async def _repeated_answer(
    connection: Connection, tenant_id: str, request_id: str, fingerprint: bytes
) -> StoredProduct:
    earlier_fingerprint, answer = await store.request_answer(connection, tenant_id, request_id)
    if earlier_fingerprint != fingerprint:
        raise RequestIdReused
    return answer


def _unrefused(decided: D) -> D:
    """For a single product its refusal is the call's."""
    for refusal in decided.refusals:
        raise refusal.error
    return decided


def _page_size(requested: int) -> int:
    return pages.page_size(requested, default=PAGE_SIZE_DEFAULT, maximum=PAGE_SIZE_MAX)


def _after(bound_to: bytes, page_token: str) -> str:
    """The last id of the previous page; empty before the first."""
    cursor = pages.decode(bound_to, page_token)
    return str(cursor[0]) if cursor else ""


def _log_if_sampled(event: str, **fields: object) -> None:
    if trace.is_sampled(trace.current_traceparent()):
        _log.info(event, **fields)
