"""The client's patience: what it repeats, with which key, and when it gives up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from deploy.replay import client
from deploy.replay.client import Api, PatienceEnded
from deploy.replay.workers import run_together


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_S_MIN", 0.001)
    monkeypatch.setattr(client, "PAUSE_S_MAX", 0.01)


@asynccontextmanager
async def api_with(answers: Sequence[web.Response | None]) -> AsyncIterator[tuple[Api, list[str]]]:
    """An API that gives these answers one after another, None for a connection that breaks off."""
    keys: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        keys.append(request.headers.get("Idempotency-Key", ""))
        answer = answers[len(keys) - 1]
        if answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return answer

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", serve)
    async with TestServer(app) as server:
        api = Api(str(server.make_url("")).rstrip("/"), "key", patience_s=5, timeout_s=2, connections_max=2)
        async with api.opened():
            yield api, keys


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_asked_again_with_the_same_key(status: int) -> None:
    busy = web.Response(status=status, headers={"Retry-After": "1"})
    async with api_with([busy, None, web.Response(status=201, body=b"done")]) as (api, keys):
        reply = await api.post("/v1/orders", b"{}", key="run/1")
        assert (reply.status, reply.body, reply.attempts) == (201, b"done", 3)
        assert keys == ["run/1"] * 3
        assert api.retried.total() == 2
        assert str(status) in api.retried


@pytest.mark.parametrize("status", [400, 401, 404, 409, 412, 422])
async def test_a_definite_refusal_is_not_repeated(status: int) -> None:
    async with api_with([web.Response(status=status, body=b"no")]) as (api, keys):
        reply = await api.post("/v1/orders", b"{}", key="run/1")
        assert (reply.status, reply.ok, keys) == (status, False, ["run/1"])


async def test_a_conflict_that_says_when_to_come_back_is_repeated() -> None:
    running = web.Response(status=409, headers={"Retry-After": "1"})
    async with api_with([running, web.Response(status=201)]) as (api, keys):
        assert (await api.post("/v1/orders", b"{}", key="run/1")).ok
        assert len(keys) == 2


async def test_patience_ends_and_the_outcome_is_unknown() -> None:
    api = Api(f"http://127.0.0.1:{unused_port()}", "key", patience_s=0.05, timeout_s=1, connections_max=1)
    async with api.opened():
        with pytest.raises(PatienceEnded, match="connection refused after"):
            await api.get("/v1/orders")


async def test_the_first_failure_of_several_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise PatienceEnded("one")

    async def wait() -> None:
        await asyncio.sleep(60)

    with pytest.raises(PatienceEnded, match="one"):
        await run_together([wait, fail, wait])
