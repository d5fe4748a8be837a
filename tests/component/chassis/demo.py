"""A small complete service, run as a process by the lifecycle tests: `python -m tests.component.chassis.demo`."""

import asyncio
from collections.abc import Callable

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis import cli, log
from services.chassis.config import Port, ServiceSettings
from services.chassis.lifecycle import CannotStart, Runtime
from services.chassis.rpc.server import make_server
from tests.component.chassis import echo

_logger = log.get(__name__)


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

    admin_port: Port = Field(default=0, description="Port of /metrics, /healthz and /readyz.")
    grpc_port: Port = Field(default=0, description="Port of the gRPC server.")
    fault: str = Field(default="", description="What is to go wrong.")


class Loop:
    """A background worker that finishes its round when asked to stop."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(0.05)
        _logger.info("closed", part="worker")

    def stop(self) -> None:
        self._stopping.set()


async def crash() -> None:
    await asyncio.sleep(0.2)
    raise RuntimeError("the worker broke")


def closing(part: str) -> Callable[[], None]:
    return lambda: _logger.info("closed", part=part)


async def serve(settings: DemoSettings) -> None:
    async with Runtime(settings, name="demo") as rt:
        rt.on_close("database", closing("database"))
        if settings.fault == "cannot start":
            raise CannotStart("the schema is behind")
        if settings.fault == "slow start":
            _logger.info("opening")
            await asyncio.sleep(60)
        if settings.fault == "crash":
            rt.spawn(crash(), "worker")
        if settings.fault == "not ready":
            rt.add_ready_check("database", lambda: False)
        if settings.fault == "stuck closer":
            rt.on_close("stuck", lambda: asyncio.sleep(60))
        worker = Loop()
        rt.spawn(worker.run(), "worker", stop=worker.stop)
        rt.on_close("cache", closing("cache"))
        server = make_server(settings, max_concurrent=16)
        echo.add_to(server)
        await rt.serve(server, services=[echo.SERVICE])


async def setup(settings: DemoSettings) -> None:
    _logger.info("set up")


if __name__ == "__main__":
    cli.run(cli.Service(name="demo", settings=DemoSettings, serve=serve, setup=setup))
