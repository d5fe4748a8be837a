"""Products as the bytes that will be sent, by (tenant, product id), bounded in bytes.

Fed by the compacted topic, and at once by this process's own writes. What is not here (not arrived yet, or
dropped because the bound was reached) is asked of the catalog; misses that come together travel as one call.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from prometheus_client import Counter, Gauge
from sampan.catalog.v1 import events_pb2, product_service_pb2

from services.chassis import log, metrics
from services.chassis.envelope import Event
from services.chassis.errors import DomainError, Internal, NotFound, ResourceExhausted, Unavailable
from services.chassis.rpc.status import error_of
from services.gateway.languages import best
from services.gateway.readmodel.snapshots import refuse, snapshot_of
from services.gateway.translate.catalog import product_of, texts_in

ENTRY_OVERHEAD_BYTES = 480
OVERHEAD_BYTES_PER_LANGUAGE = 150
MISS_BATCH_IDS_MAX = 200
MISSES_WAITING_MAX = 5_000
MISS_CALLS_MAX = 2
UNKNOWN_IDS_MAX = 10_000

Key = tuple[str, str]
BatchGet = Callable[
    [product_service_pb2.BatchGetProductsRequest], Awaitable[product_service_pb2.BatchGetProductsResponse]
]

_log = log.get(__name__)
_READS = metrics.Kept(
    Counter(
        "sampan_gateway_product_reads_total", "Product lookups by where the answer came from.", ["source"]
    )
)
_BYTES = Gauge("sampan_gateway_products_bytes", "Bytes of product documents in memory.")
_ENTRIES = Gauge("sampan_gateway_products_entries", "Product documents in memory.")
_FROM_MEMORY = _READS["memory"]
_FROM_CATALOG = _READS["catalog"]


class Entry(NamedTuple):
    """A product as it is sent. `ends` are by language what its document ends with in the other ones."""

    version: int
    etag: bytes
    body: bytes
    language: bytes
    ends: Mapping[str, bytes]
    tags: tuple[str, ...]
    """Of all its languages."""

    def localised(self, ranges: tuple[str, ...]) -> "Entry":
        """The same in the language that these ranges would rather have; in the default one where there is none."""
        if not ranges or not self.ends:
            return self
        tag = best(ranges, self.tags)
        end = self.ends.get(tag) if tag is not None else None
        if tag is None or end is None:
            return self
        # The texts are the document's last members.
        start = self.body.rindex(_TEXTS)
        language = tag.encode()
        # The same version is another document: a cache must not take the one for the other.
        etag = b'%b-%b"' % (self.etag[:-1], language)
        return self._replace(body=self.body[:start] + end, etag=etag, language=language)


class _Texts(msgspec.Struct):
    """What a product's document ends with."""

    title: str
    description: str
    language: str


_TEXTS = b',"title":"'
_NO_ENDS: Mapping[str, bytes] = {}


def entry_of(product: product_service_pb2.Product) -> Entry:
    """The bytes of a product's document and its quoted ETag."""
    document = product_of(product)
    ends = {
        tag: b"," + msgspec.json.encode(_Texts(*texts_in(product, tag), tag))[1:]
        for tag in document.titles
        if tag != document.language
    }
    return Entry(
        product.version,
        f'"{product.etag}"'.encode(),
        msgspec.json.encode(document),
        document.language.encode(),
        ends or _NO_ENDS,
        tuple(document.titles) if ends else (),
    )


def version_of(etag: str) -> str:
    """The ETag of a product's version, for that of its document in any language."""
    return etag.partition("-")[0]


class Products:
    """The read model. Entries are kept in the order of their last use; the oldest go when the bound is reached."""

    def __init__(self, *, bytes_max: int, miss_ttl_s: float, batch_get: BatchGet) -> None:
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._miss_ttl_s = miss_ttl_s
        self._batch_get = batch_get
        self._unknown_until: OrderedDict[Key, float] = OrderedDict()
        self._waiting: dict[Key, asyncio.Future[Entry | None]] = {}
        self._asked: dict[Key, asyncio.Future[Entry | None]] = {}
        # The newest that arrived while the catalog was being asked, None for a removal: its answer may be older,
        # and what arrived may have been dropped again for want of room.
        self._arrived: dict[Key, Entry | None] = {}
        self._calls: set[asyncio.Task[None]] = set()
        _BYTES.set_function(lambda: self._bytes)
        _ENTRIES.set_function(lambda: len(self._entries))

    def apply(self, events: Sequence[Event]) -> None:
        """Takes snapshots from the topic, in any order; a tombstone removes."""
        for event in events:
            tenant_id, _, product_id = event.key.partition("/")
            if not event.payload:
                self._remove((tenant_id, product_id))
                continue
            snapshot = snapshot_of(event, events_pb2.ProductSnapshot, _key_of)
            if snapshot is None:
                continue
            held = self._entries.get((tenant_id, product_id))
            if held is not None and held.version >= snapshot.product.version:
                continue
            try:
                entry = entry_of(snapshot.product)
            except (ValueError, OverflowError) as error:
                refuse(event, repr(error))
                continue
            self.put(tenant_id, product_id, entry)

    def put(self, tenant_id: str, product_id: str, entry: Entry) -> None:
        """Keeps a product unless a newer version of it is there."""
        key = (tenant_id, product_id)
        if key in self._asked or key in self._waiting:
            arrived = self._arrived.get(key)
            if arrived is None or arrived.version < entry.version:
                self._arrived[key] = entry
        held = self._entries.get(key)
        if held is not None:
            if held.version > entry.version:
                return
            self._bytes -= _size(key, held)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self._bytes += _size(key, entry)
        self._unknown_until.pop(key, None)
        while self._bytes > self._bytes_max and self._entries:
            oldest, dropped = self._entries.popitem(last=False)
            self._bytes -= _size(oldest, dropped)

    def held(self, tenant_id: str, product_id: str) -> Entry | None:
        """The product if it is in memory."""
        key = (tenant_id, product_id)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            _FROM_MEMORY.inc()
        return entry

    async def get(self, tenant_id: str, product_id: str) -> Entry:
        """The product, asked of the catalog where it is not in memory; raises PRODUCT_NOT_FOUND."""
        entry = self.held(tenant_id, product_id) or await self._miss((tenant_id, product_id))
        if entry is None:
            raise NotFound("PRODUCT_NOT_FOUND", "there is no product of this id")
        return entry

    async def get_many(self, tenant_id: str, product_ids: Sequence[str]) -> list[Entry | None]:
        """The products in the order asked, None for those that do not exist."""
        found = {product_id: self.held(tenant_id, product_id) for product_id in product_ids}
        missing = [product_id for product_id, entry in found.items() if entry is None]
        if missing:
            answers = await asyncio.gather(*(self._miss((tenant_id, product_id)) for product_id in missing))
            found.update(zip(missing, answers, strict=True))
        return [found[product_id] for product_id in product_ids]

    async def _miss(self, key: Key) -> Entry | None:
        now = time.monotonic()
        if self._unknown_until.get(key, 0.0) > now:
            return None
        _FROM_CATALOG.inc()
        future = self._waiting.get(key) or self._asked.get(key)
        if future is None:
            if len(self._waiting) >= MISSES_WAITING_MAX:
                raise ResourceExhausted(
                    "OVERLOADED", "too many products are being looked up", retry_after_s=1
                )
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            self._start_call()
        return await asyncio.shield(future)

    def _start_call(self) -> None:
        if len(self._calls) < MISS_CALLS_MAX and self._waiting:
            task = asyncio.create_task(self._ask(), name="product misses")
            self._calls.add(task)
            task.add_done_callback(self._on_call_done)

    def _on_call_done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._start_call()

    async def _ask(self) -> None:
        """One call for misses of one tenant."""
        await asyncio.sleep(0)
        tenant_id = next(iter(self._waiting))[0]
        keys = [key for key in self._waiting if key[0] == tenant_id][:MISS_BATCH_IDS_MAX]
        futures = {key: self._waiting.pop(key) for key in keys}
        self._asked.update(futures)
        try:
            request = product_service_pb2.BatchGetProductsRequest(
                tenant_id=tenant_id, product_ids=[product_id for _, product_id in keys]
            )
            reply = await self._batch_get(request)
            for key, result in zip(keys, reply.results, strict=True):
                self._settle(key, result, futures[key])
        except DomainError as error:
            _fail_all(futures, error)
        except ValueError:
            _fail_all(futures, Unavailable("DEPENDENCY_UNAVAILABLE", "the catalog answered another question"))
        finally:
            for key, future in futures.items():
                self._asked.pop(key, None)
                self._arrived.pop(key, None)
                _fail_all({key: future}, Internal("INTERNAL", "the lookup failed unexpectedly"))

    def _settle(
        self, key: Key, result: product_service_pb2.ProductResult, future: asyncio.Future[Entry | None]
    ) -> None:
        if future.done():
            return
        if key in self._arrived:
            arrived = self._arrived[key]
            if arrived is None or arrived.version >= result.product.version:
                future.set_result(arrived)
                return
        if result.HasField("product"):
            entry = entry_of(result.product)
            self.put(*key, entry)
            future.set_result(entry)
            return
        error = error_of(result.error)
        if isinstance(error, NotFound):
            self._remember_unknown(key)
            future.set_result(None)
        else:
            _fail_all({key: future}, error)

    def _remember_unknown(self, key: Key) -> None:
        self._unknown_until[key] = time.monotonic() + self._miss_ttl_s
        while len(self._unknown_until) > UNKNOWN_IDS_MAX:
            self._unknown_until.popitem(last=False)

    def _remove(self, key: Key) -> None:
        if key in self._asked or key in self._waiting:
            self._arrived[key] = None
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry)


def _key_of(snapshot: events_pb2.ProductSnapshot) -> str:
    return f"{snapshot.tenant_id}/{snapshot.product.product_id}"


def _size(key: Key, entry: Entry) -> int:
    texts = sum(map(len, entry.ends.values())) + OVERHEAD_BYTES_PER_LANGUAGE * len(entry.ends)
    return len(entry.body) + len(entry.etag) + texts + len(key[0]) + len(key[1]) + ENTRY_OVERHEAD_BYTES


def _fail_all(futures: dict[Key, asyncio.Future[Entry | None]], error: DomainError) -> None:
    for future in futures.values():
        if not future.done():
            future.set_exception(error)
            future.exception()
