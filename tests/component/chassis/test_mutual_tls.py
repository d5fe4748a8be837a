"""Services show each other their certificates, take over new ones while calls go on, and let nobody else in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
import trustme
from google.protobuf.wrappers_pb2 import StringValue

from services.chassis.config import ServiceSettings
from services.chassis.rpc.channel import Channel, make_channel
from services.chassis.rpc.server import make_server
from services.chassis.tls import Watched, server_credentials
from tests.certificates import Identity, identity
from tests.component.chassis import echo

Configuration = Watched[grpc.ServerCertificateConfiguration]
CLIENT = "gateway.sampan.example"
PATIENCE_S = 5.0


class Door:
    """A server whose connections last a tenth of a second, so that clients show their certificates often."""

    def __init__(self, shown: Identity, *, clients: tuple[str, ...] = ()) -> None:
        settings = ServiceSettings.model_construct(
            grpc_connection_age_s_max=0.1, grpc_connection_age_grace_s=5, grpc_tls_clients=clients
        )
        self.server = make_server(settings, max_concurrent=8)
        echo.add_to(self.server)
        self.certificates: Configuration = Watched("grpc", shown.files, shown.files.server_configuration)
        port = self.server.add_secure_port("127.0.0.1:0", server_credentials(self.certificates))
        self.address = f"127.0.0.1:{port}"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def shown(tmp_path: Path, authority: trustme.CA) -> Identity:
    return identity(tmp_path / "server", authority)


@pytest.fixture
async def door(shown: Identity) -> AsyncIterator[Door]:
    door = Door(shown)
    await door.server.start()
    yield door
    await door.server.stop(0)


def channel_to(address: str, shown: Identity) -> tuple[Channel, Watched[grpc.ChannelCredentials]]:
    certificates = Watched("grpc", shown.files, shown.files.channel_credentials)
    return make_channel(address, retryable_methods=[echo.SERVICE], certificates=certificates), certificates


async def said(channel: grpc.aio.Channel) -> str:
    reply: StringValue = await echo.stub(channel, "Echo")(StringValue(value="hello"), timeout=PATIENCE_S)
    return reply.value


async def code_of_refusal(channel: grpc.aio.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await echo.stub(channel, "Echo")(StringValue(value="hello"), timeout=1)
    return refused.value.code()


async def test_who_shows_an_accepted_certificate_is_let_in(
    door: Door, tmp_path: Path, authority: trustme.CA
) -> None:
    channel, _ = channel_to(door.address, identity(tmp_path / "client", authority, CLIENT))
    async with channel:
        assert await said(channel) == "hello"


async def test_who_talks_in_plain_text_is_not_let_in(door: Door) -> None:
    async with grpc.aio.insecure_channel(door.address) as channel:
        assert await code_of_refusal(channel) is grpc.StatusCode.UNAVAILABLE


async def test_who_shows_no_certificate_is_not_let_in(door: Door, shown: Identity) -> None:
    assert shown.files.ca is not None
    accepting = grpc.ssl_channel_credentials(shown.files.ca.read_bytes())
    async with grpc.aio.secure_channel(door.address, accepting) as channel:
        assert await code_of_refusal(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_authority_is_not_accepted(
    door: Door, tmp_path: Path, authority: trustme.CA
) -> None:
    stranger = identity(tmp_path / "stranger", trustme.CA(), CLIENT)
    stranger.accept(authority)
    channel, _ = channel_to(door.address, stranger)
    async with channel:
        assert await code_of_refusal(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_server_of_another_name_is_not_called(tmp_path: Path, authority: trustme.CA) -> None:
    door = Door(identity(tmp_path / "other", authority, "other.sampan.example"))
    await door.server.start()
    channel, _ = channel_to(door.address, identity(tmp_path / "client", authority, CLIENT))
    async with channel:
        assert await code_of_refusal(channel) is grpc.StatusCode.UNAVAILABLE
    await door.server.stop(0)


@pytest.mark.parametrize(("name", "let_in"), [(CLIENT, True), ("catalog.sampan.example", False)])
async def test_only_the_named_may_call_where_names_are_given(
    tmp_path: Path, authority: trustme.CA, shown: Identity, name: str, let_in: bool
) -> None:
    door = Door(shown, clients=(CLIENT,))
    await door.server.start()
    channel, _ = channel_to(door.address, identity(tmp_path / "client", authority, name))
    async with channel:
        if let_in:
            assert await said(channel) == "hello"
        else:
            assert await code_of_refusal(channel) is grpc.StatusCode.PERMISSION_DENIED
    await door.server.stop(0)


async def test_an_authority_is_replaced_while_calls_go_on(
    door: Door, shown: Identity, tmp_path: Path, authority: trustme.CA
) -> None:
    client, next_authority = identity(tmp_path / "client", authority, CLIENT), trustme.CA()
    channel, certificates = channel_to(door.address, client)
    changes: tuple[Callable[[Identity], None], ...] = (
        lambda one: one.accept(authority, next_authority),
        lambda one: one.issue(next_authority),
        lambda one: one.accept(next_authority),
    )
    answered: asyncio.Queue[str] = asyncio.Queue()

    async def call_all_the_time() -> None:
        while True:
            answered.put_nowait(await said(channel))
            await asyncio.sleep(0.001)

    async def more_calls() -> None:
        """So many that every connection from before has reached its age."""
        for _ in range(answered.qsize() + 300):
            assert await answered.get() == "hello"

    async with channel, asyncio.TaskGroup() as tasks:
        calling = tasks.create_task(call_all_the_time())
        await more_calls()
        for change in changes:
            for one, watched in ((shown, door.certificates), (client, certificates)):
                change(one)
                watched.refresh()
                # Also while the other side has not changed yet.
                await more_calls()
        calling.cancel()
        # Nobody accepts the old authority any more.
        late, _ = channel_to(door.address, identity(tmp_path / "late", authority, CLIENT))
        async with late:
            assert await code_of_refusal(late) is grpc.StatusCode.UNAVAILABLE
