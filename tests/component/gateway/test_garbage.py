"""What is left of a request when it is over: nothing that only the cyclic collector could take away.

The collector comes seldom (`chassis.lifecycle`), and what waits for it piles up: it was 33 bytes of every order.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from services.gateway.routes import examples
from tests.component.gateway.conftest import System
from tests.component.gateway.ordering import key


@pytest.fixture
def kept_garbage() -> Iterator[list[object]]:
    """What the collector finds is kept to be looked at, and it does not come by itself."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_a_request_with_a_key_leaves_nothing_to_the_cyclic_collector(
    system: System, kept_garbage: list[object]
) -> None:
    for _ in range(5):
        answer = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=key())
        assert answer.status_code == 201
    gc.collect()
    assert {type(one).__name__ for one in kept_garbage if _is_of_the_gateway(one)} == set()


def _is_of_the_gateway(one: object) -> bool:
    return str(type(one).__module__).startswith("services.gateway")
