"""Certificate files are taken over when they fit together, and what was in force stays so when they do not."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from prometheus_client import REGISTRY

from services.chassis.tls import Files, RotatingContext, Unusable, Watched
from tests.certificates import Identity, identity, in_unix_seconds

EXPIRY = "sampan_tls_certificate_expiry_timestamp_seconds"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def shown(tmp_path: Path, authority: trustme.CA) -> Identity:
    return identity(tmp_path / "shown", authority)


def reloads(outcome: str) -> float:
    return REGISTRY.get_sample_value("sampan_tls_reloads_total", {"use": "http", "outcome": outcome}) or 0


def watched_context(shown: Identity) -> Watched[ssl.SSLContext]:
    return Watched("http", shown.files, shown.files.server_context)


def test_the_expiry_of_the_certificate_in_use_is_told(shown: Identity, authority: trustme.CA) -> None:
    watched = watched_context(shown)
    soon = datetime.now(UTC) + timedelta(days=3)
    shown.issue(authority, expires=soon)
    assert REGISTRY.get_sample_value(EXPIRY, {"use": "http"}) != in_unix_seconds(soon)
    watched.refresh()
    assert REGISTRY.get_sample_value(EXPIRY, {"use": "http"}) == in_unix_seconds(soon)


def test_files_that_are_as_before_are_not_read_again(shown: Identity) -> None:
    watched = watched_context(shown)
    before, count = watched.value, reloads("loaded")
    watched.refresh()
    assert watched.value is before
    assert reloads("loaded") == count


def test_a_certificate_without_its_key_waits_for_it(shown: Identity, authority: trustme.CA) -> None:
    watched, told = watched_context(shown), []
    watched.on_change(lambda: told.append("changed"))
    before, refused = watched.value, reloads("refused")
    assert shown.files.key is not None
    old_key = shown.files.key.read_bytes()
    shown.issue(authority)
    new_key = shown.files.key.read_bytes()
    shown.files.key.write_bytes(old_key)
    watched.refresh()
    assert (watched.value, told) == (before, [])
    assert reloads("refused") == refused + 1
    shown.files.key.write_bytes(new_key)
    watched.refresh()
    assert watched.value is not before
    assert told == ["changed"]


def test_a_file_that_is_gone_or_garbage_changes_nothing(shown: Identity) -> None:
    watched = watched_context(shown)
    before = watched.value
    assert shown.files.cert is not None
    shown.files.cert.write_text("no certificate")
    watched.refresh()
    shown.files.cert.unlink()
    watched.refresh()
    assert watched.value is before


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("tls.crt", "garbage", "tls.crt holds no certificate in PEM"),
        ("tls.key", "garbage", "tls.key holds no private key in PEM"),
        ("ca.crt", "", "ca.crt holds no certificate in PEM"),
    ],
)
def test_a_start_with_files_of_no_use_names_the_file(
    shown: Identity, name: str, content: str, fault: str
) -> None:
    (shown.folder / name).write_text(content)
    with pytest.raises(Unusable, match=fault):
        watched_context(shown)


def test_a_start_without_a_file_names_it(tmp_path: Path) -> None:
    files = Files(ca=tmp_path / "none.crt")
    with pytest.raises(Unusable, match=r"none\.crt: No such file"):
        Watched("kafka", files, files.client_context)


async def test_a_new_connection_sees_the_new_certificate(
    shown: Identity, authority: trustme.CA, tmp_path: Path
) -> None:
    watched, next_authority = watched_context(shown), trustme.CA()
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=RotatingContext(watched)
    )
    port = server.sockets[0].getsockname()[1]
    accepting = Identity(tmp_path / "client")

    async def connects(accepted: trustme.CA) -> bool:
        accepting.accept(accepted)
        context = Files(ca=accepting.files.ca).client_context()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        return True

    async with server:
        assert await connects(authority)
        shown.issue(next_authority)
        watched.refresh()
        assert await connects(next_authority)
        assert not await connects(authority)


async def test_protocols_below_tls_1_2_are_refused(shown: Identity) -> None:
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=RotatingContext(watched_context(shown))
    )
    port = server.sockets[0].getsockname()[1]
    old = Files(ca=shown.files.ca).client_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)
