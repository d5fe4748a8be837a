"""The load generator against a server that answers in pieces, repeats, and breaks off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.bench import load
from deploy.bench.load import Broken, post_request, send_all

Answer = Callable[[int], list[bytes]]
CREATED = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 5\r\n\r\n"


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers the n-th request with the pieces that `answer` gives; no piece closes the connection."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
            seen.append(head + await reader.readexactly(length))
            pieces = answer(len(seen))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if not pieces:
                break
        writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        port = running.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", seen


def requests(base_url: str, count: int) -> list[bytes]:
    return [post_request(base_url, "/v1/orders", "key", f"run/{n}", b'{"n": %d}' % n) for n in range(count)]


@pytest.mark.parametrize(
    "pieces",
    [
        [CREATED + b"12345"],
        [CREATED, b"12345"],
        [CREATED[:20], CREATED[20:], b"123", b"45"],
    ],
)
async def test_every_request_is_sent_once_and_answered_whole(pieces: list[bytes]) -> None:
    async with server(lambda _: pieces) as (url, seen):
        result = await send_all(url, requests(url, 50), 4)
    assert (result.accepted, len(result.latencies_s), dict(result.statuses)) == (50, 50, {201: 50})
    assert len(set(seen)) == 50
    assert all(b"Idempotency-Key: run/" in one for one in seen)


async def test_busy_answers_are_repeated_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "RETRY_PAUSE_S", 0)
    busy = b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n"
    async with server(lambda n: [busy if n <= 2 else CREATED + b"12345"]) as (url, seen):
        result = await send_all(url, requests(url, 1), 1)
    assert (result.accepted, result.repeated) == (1, 2)
    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_a_refusal_is_counted_and_not_accepted() -> None:
    refused = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 2\r\n\r\n{}"
    async with server(lambda _: [refused]) as (url, _):
        result = await send_all(url, requests(url, 3), 2)
    assert (result.accepted, dict(result.statuses), result.latencies_s) == (0, {422: 3}, [])


@pytest.mark.parametrize(
    "pieces", [[], [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"], [b"SSH-2.0 hello\r\n\r\n"]]
)
async def test_what_is_no_answer_breaks_the_run(pieces: list[bytes]) -> None:
    async with server(lambda _: pieces) as (url, _):
        with pytest.raises(Broken):
            await send_all(url, requests(url, 1), 1)
