"""The load generator against a server that answers in pieces, repeats, and breaks off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.bench import load, open_loop
from deploy.bench.load import Broken, get_request, post_request, send_all
from deploy.bench.open_loop import send_at_rate

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
            parts = head.lower().split(b"content-length:")
            length = int(parts[1].split(b"\r")[0]) if len(parts) > 1 else 0
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


async def test_the_first_answer_of_a_status_is_kept_as_a_sample() -> None:
    refused = b"HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\nsold out"
    async with server(lambda _: [refused]) as (url, _):
        result = await send_all(url, requests(url, 3), 1)
    assert list(result.samples) == [409]
    assert result.samples[409].endswith(b"sold out")


async def test_every_refusal_that_does_not_say_its_reason_is_kept() -> None:
    def answer(n: int) -> list[bytes]:
        return [b"HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\n", b"SOLD_OUT" if n % 2 else b"resold.."]

    async with server(answer) as (url, _):
        result = await send_all(url, requests(url, 6), 1, reasons={409: b"SOLD_OUT"})
    assert result.unreasoned == [b"resold.."] * 3


async def test_the_load_is_spread_over_all_addresses() -> None:
    def answer(_: int) -> list[bytes]:
        return [CREATED + b"12345"]

    async with server(answer) as (one, seen_one), server(answer) as (two, seen_two):
        await send_all([one, two], requests(one, 40), 4)
    assert len(seen_one) + len(seen_two) == 40
    assert seen_one
    assert seen_two


async def test_nothing_is_begun_after_the_time_is_up() -> None:
    async with server(lambda _: [CREATED + b"12345"]) as (url, seen):
        result = await send_all(url, requests(url, 50), 2, s_max=0)
    assert (sum(result.statuses.values()), seen) == (0, [])


async def test_a_get_has_no_body() -> None:
    async with server(lambda _: [CREATED + b"12345"]) as (url, seen):
        await send_all(url, [get_request(url, "/v1/products/a", "key")], 1)
    assert seen[0].startswith(b"GET /v1/products/a HTTP/1.1\r\n")
    assert seen[0].endswith(b"\r\n\r\n")


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


async def test_latency_counts_from_the_schedule_and_not_from_the_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One connection and a server that answers the first only long after all are due: the wait is theirs as well."""
    clock = Clock()
    monkeypatch.setattr(open_loop, "time", clock)
    monkeypatch.setattr(open_loop, "CONNECTIONS_FIRST", 1)
    monkeypatch.setattr(open_loop, "CONNECTIONS_MAX", 1)

    def answer(_: int) -> list[bytes]:
        clock.now_s = 10.0
        return [CREATED + b"12345"]

    async with server(answer) as (url, _):
        arrivals = await send_at_rate(url, requests(url, 5), 1_000.0)
    assert [one.status for one in arrivals] == [201] * 5
    assert [one.latency_s for one in arrivals] == pytest.approx([10.0, 9.999, 9.998, 9.997, 9.996], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "is_decided"),
    [
        (b'{"state":"pending","payment_state":"none"}', False),
        (b'{"state":"awaiting_payment"}', True),
        (b'{"state":"rejected"}', True),
    ],
)
async def test_an_order_is_decided_only_if_its_answer_says_so(body: bytes, is_decided: bool) -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with server(lambda _: [head, body]) as (url, _):
        (arrival,) = await send_at_rate(url, requests(url, 1), 1_000.0)
    assert (arrival.status, arrival.is_decided) == (201, is_decided)


async def test_a_broken_connection_ends_the_open_loop() -> None:
    async with server(lambda _: []) as (url, _):
        with pytest.raises(Broken):
            await send_at_rate(url, requests(url, 2), 1_000.0)
