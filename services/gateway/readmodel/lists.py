"""Pages of products, kept until any product of their tenant changes; equal questions travel as one call.

A storefront asks for the same first pages over and over, and the catalog would answer each from its database.
A page is dropped the moment this process learns of a change (its own writes at once, others' by the topic), so
that a list is never older than a product's detail.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple

PAGES_MAX = 10_000

Key = tuple[str, Hashable]
"""The tenant and what was asked."""


class Page(NamedTuple):
    """A page as it is sent, and the languages that it is in."""

    body: bytes
    languages: bytes


class ProductPages:
    """Bounded in bytes; the least recently read page goes first."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pages: OrderedDict[Key, tuple[int, Page]] = OrderedDict()
        self._changes: dict[str, int] = {}
        self._asked: dict[tuple[Key, int], asyncio.Future[Page]] = {}

    def changed(self, tenant_id: str) -> None:
        """A product of the tenant is not what it was."""
        self._changes[tenant_id] = self._changes.get(tenant_id, 0) + 1

    async def get(self, tenant_id: str, asked: Hashable, ask: Callable[[], Awaitable[Page]]) -> Page:
        """The page, from memory where nothing has changed since it was asked for."""
        key = (tenant_id, asked)
        as_of = self._changes.get(tenant_id, 0)
        held = self._pages.get(key)
        if held is not None and held[0] == as_of:
            self._pages.move_to_end(key)
            return held[1]
        future = self._asked.get((key, as_of))
        if future is None:
            future = self._asked[key, as_of] = asyncio.ensure_future(ask())
            future.add_done_callback(lambda done: self._answered(key, as_of, done))
        return await asyncio.shield(future)

    def _answered(self, key: Key, as_of: int, done: asyncio.Future[Page]) -> None:
        del self._asked[key, as_of]
        if done.cancelled() or done.exception() is not None or self._changes.get(key[0], 0) != as_of:
            return
        held = self._pages.pop(key, None)
        self._bytes += len(done.result().body) - (len(held[1].body) if held else 0)
        self._pages[key] = (as_of, done.result())
        while self._bytes > self._bytes_max or len(self._pages) > PAGES_MAX:
            _, (_, dropped) = self._pages.popitem(last=False)
            self._bytes -= len(dropped.body)
