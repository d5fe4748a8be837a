"""With a certificate the gateway speaks HTTPS only, and its bounds hold from the first byte of a handshake on."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trustme

from tests.certificates import Identity, identity
from tests.component.gateway.conftest import OPERATOR_KEY, Start, System
from tests.component.gateway.test_connections import connection, rest


@pytest.fixture
def shown(tmp_path: Path) -> Identity:
    return identity(tmp_path, trustme.CA())


async def secured(start: Start, shown: Identity, **changes: object) -> System:
    return await start(tls_cert_file=shown.files.cert, tls_key_file=shown.files.key, **changes)


async def test_a_request_is_answered_and_its_connection_kept(start: Start, shown: Identity) -> None:
    system = await secured(start, shown)
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    url = f"https://127.0.0.1:{system.port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, verify=shown.client_context()) as client:
        for _ in range(2):
            assert (await client.get("/v1/products")).status_code == 200
        assert len(system.connections) == 1


async def test_a_handshake_that_does_not_come_ends_the_connection(start: Start, shown: Identity) -> None:
    system = await secured(start, shown, head_s_max=0.2)
    async with connection(system) as (silent, _):
        assert await rest(silent) == b""


async def test_a_head_that_does_not_come_behind_a_handshake_is_408(start: Start, shown: Identity) -> None:
    system = await secured(start, shown, head_s_max=0.5)
    async with connection(system) as (reader, writer):
        await writer.start_tls(shown.client_context(), server_hostname="127.0.0.1")
        assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")
