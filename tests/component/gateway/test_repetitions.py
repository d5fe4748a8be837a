"""A request that is repeated while the first one is still at work."""

from __future__ import annotations

import asyncio

from services.gateway.routes import examples
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.ordering import key, until
from tests.component.gateway.test_edge import assert_problem


async def test_a_repetition_is_told_to_wait_until_the_first_is_stored_then_gets_its_answer(
    start: Start,
) -> None:
    system = await start(place_calls_max=3)
    system.orders.gate = asyncio.Event()
    headers = key()
    post = system.storefront.post
    first = asyncio.create_task(post("/v1/orders", json=examples.ORDER, headers=headers))
    await until(lambda: bool(system.orders.batch_sizes))
    early = await post("/v1/orders", json=examples.ORDER, headers=headers)
    assert_problem(early, 409, "REQUEST_IN_PROGRESS")
    assert early.headers["retry-after"] == "1"
    # Neither another key nor another tenant's same key has to wait for it.
    others = [
        asyncio.create_task(post("/v1/orders", json=examples.ORDER, headers=key())),
        asyncio.create_task(system.other.post("/v1/orders", json=examples.ORDER, headers=headers)),
    ]
    await until(lambda: sum(system.orders.batch_sizes) == 3)
    system.orders.gate.set()
    assert [(await one).status_code for one in (first, *others)] == [201] * 3
    again = await post("/v1/orders", json=examples.ORDER, headers=headers)
    assert (again.content, again.headers["idempotency-replayed"]) == ((await first).content, "true")
    assert not len(system.gateway.app._repetitions)


async def test_a_repetition_need_not_wait_for_what_the_first_only_waits_for(system: System) -> None:
    headers = key()
    waiting = asyncio.create_task(
        system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers | {"Prefer": "wait=20"})
    )
    await until(lambda: bool(system.gateway.feed._by_order))
    again = await system.storefront.post("/v1/orders", json=examples.ORDER, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    system.gateway.end_streams()
    assert (await waiting).status_code == 201


async def test_a_key_is_free_again_after_a_refusal(system: System) -> None:
    headers = key()
    for _ in range(2):
        answer = await system.storefront.post("/v1/orders", json={}, headers=headers)
        assert_problem(answer, 400, "FIELD_REQUIRED")
    assert not len(system.gateway.app._repetitions)
