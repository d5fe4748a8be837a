"""Which SKUs have changed, for those who follow some: what waits for one is the SKU's name, never a change.

So a slow reader costs no more than a quick one, and gets the newest. While nobody follows, news costs one comparison.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from services.chassis.envelope import Event


class SkuWatch:
    """Some SKUs of a tenant for one stream; at first all of them count as changed."""

    def __init__(self, skus: Sequence[str]) -> None:
        self._skus = tuple(dict.fromkeys(skus))
        self._changed = set(self._skus)
        self._woken = asyncio.Event()
        self._woken.set()

    def touch(self, *skus: str) -> None:
        """These have changed; all where none are named."""
        self._changed.update(skus or self._skus)
        self._woken.set()

    def wake(self) -> None:
        """Ends the waiting."""
        self._woken.set()

    async def next(self, timeout_s: float) -> list[str]:
        """What has changed since it was asked last, in the order of the SKUs; nothing where it was not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        self._woken.clear()
        changed, self._changed = self._changed, set()
        return [sku for sku in self._skus if sku in changed]


class AvailabilityFeed:
    """Wakes those whose SKUs have changed."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[SkuWatch]] = {}
        self._by_tenant: dict[str, set[SkuWatch]] = {}
        self.closing = False

    @contextmanager
    def watch(self, tenant_id: str, skus: Sequence[str]) -> Iterator[SkuWatch]:
        """Follows these as long as the block lasts."""
        watch = SkuWatch(skus)
        places = [(self._by_tenant, tenant_id), *((self._by_key, f"{tenant_id}/{sku}") for sku in set(skus))]
        for table, key in places:
            table.setdefault(key, set()).add(watch)
        try:
            yield watch
        finally:
            for table, key in places:
                table[key].discard(watch)
                if not table[key]:
                    del table[key]

    def stock_changed(self, events: Sequence[Event]) -> None:
        """Takes the events of the SKUs' topic, after the read model has."""
        if self._by_key:
            for event in events:
                for watch in self._by_key.get(event.key, ()):
                    watch.touch(event.key.partition("/")[2])

    def warehouses_changed(self, events: Sequence[Event]) -> None:
        """Takes the events of the warehouses' topic, after the read model has: any SKU may be concerned."""
        if self._by_tenant:
            for tenant_id in {event.key.partition("/")[0] for event in events}:
                for watch in self._by_tenant.get(tenant_id, ()):
                    watch.touch()

    def close(self) -> None:
        """Tells the streams that the process is going."""
        self.closing = True
        for watches in self._by_tenant.values():
            for watch in watches:
                watch.wake()
