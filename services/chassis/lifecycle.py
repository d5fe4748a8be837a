"""A process from start to drain: what is opened first is closed last, within a bounded time.

A composition root, in short (services/orders/__main__.py is a whole one):

    async def serve(settings: OrdersSettings) -> None:
        async with Runtime(settings, name="orders") as runtime:
            db = await assembly.attach_database(runtime, settings, "orders")
            relay = attach_relay(runtime, settings, "orders", source="/sampan/orders")

            server = make_server(settings, max_concurrent=settings.concurrent_calls_max)
            pb_grpc.add_OrderServiceServicer_to_server(rpc.OrderService(...), server)
            await runtime.serve(server, services=rpc.SERVICES)

    COMMANDS = cli.Service(name="orders", settings=OrdersSettings, serve=serve, setup=setup, ...)

    if __name__ == "__main__":
        cli.run(COMMANDS)

On SIGTERM or SIGINT `serve` returns after the server has drained, and leaving the `async with` stops the
tasks and runs the closers, the newest first. A task that crashes stops the process in the same way, but with
exit code 1, so that a supervisor starts it anew. A second signal ends the process at once.

A server of another kind gives `serve_with` its start and its stop: services/gateway/__main__.py does so for HTTP.
"""

import asyncio
import contextlib
import gc
import inspect
import os
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc

from services.chassis import crash, log, metrics, tls, trace, workers
from services.chassis.admin import AdminServer, Condition
from services.chassis.config import ProcessSettings, ServiceSettings
from services.chassis.errors import DomainError
from services.chassis.rpc import status
from services.chassis.rpc.server import Health, add_health, add_reflection

VERSION = "0.1.0"
READY_CHECK_PERIOD_S = 1.0
GC_THRESHOLDS = (20_000, 20, 50)
READY_CHECK_TIMEOUT_S = 2.0
CLOSE_S_MIN = 0.5
SERVER_SHARE_OF_GRACE = 0.75
EXIT_CRASHED = 1
LISTEN_BACKLOG = 2048
FILES_BESIDE = 256

Check = Callable[[], object]
Closer = Callable[[], object]

_logger = log.get(__name__)


class CannotStart(Exception):
    """A reason not to start that one line tells an operator; it ends the process with exit code 1."""


def listen(settings: ProcessSettings, field: str) -> socket.socket:
    """A socket that listens on `settings.host` and the port in that field; raises CannotStart."""
    port: int = getattr(settings, field)
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, port), family=family, backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise CannotStart(_port_fault(settings, field, os.strerror(error.errno or 0))) from None


def allow_open_files(connections_max: int) -> None:
    """Raises the soft limit on open files to what so many connections need, as far as the hard one lets it."""
    wanted = connections_max + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


class Runtime:
    """One per process. See the module's description for its use."""

    def __init__(self, settings: ProcessSettings, *, name: str) -> None:
        self._settings = settings
        self._name = name
        self._checks: dict[str, Check] = {}
        self._closers: list[tuple[str, Closer]] = []
        self._health: Health | None = None
        self._serving = False
        self._stop = asyncio.Event()
        self._condition = Condition()
        self._crash: BaseException | None = None
        self._drain_until: float | None = None
        self._main: asyncio.Task[Any] | None = None
        self.admin_port = 0
        self.grpc_port = 0

    async def __aenter__(self) -> Self:
        settings = self._settings
        log.configure(self._name, settings.log_level)
        crash.configure(settings.crash_points)
        status.set_own_domain(self._name)
        metrics.describe_build(self._name, VERSION)
        self._begin_tracing()
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            admin = AdminServer(settings.host, settings.admin_port, lambda: self._condition)
        except OSError as error:
            raise CannotStart(_port_fault(settings, "admin_port", os.strerror(error.errno or 0))) from None
        self.admin_port = admin.port
        self.on_close("admin server", admin.close)
        self.spawn(metrics.sample_event_loop(), "event loop sampler")
        self.spawn(tls.watch(settings.tls_reload_s), "certificates")
        self.spawn(self._keep_checking(), "readiness")
        return self

    def _begin_tracing(self) -> None:
        settings = self._settings
        if not settings.otel_endpoint:
            trace.configure(self._name, sample_ratio=settings.trace_sample_ratio)
            return
        from services.chassis import otlp

        provider = trace.configure(
            self._name,
            sample_ratio=settings.trace_sample_ratio,
            processor=otlp.processor(settings.otel_endpoint, settings.otel_headers),
            version=VERSION,
        )
        if provider is not None:
            self.on_close("traces", partial(otlp.close, provider))

    def add_ready_check(self, name: str, check: Check) -> None:
        """Asks `check`, async or not, once a second; ready means that it neither raises nor returns False."""
        self._checks[name] = check

    def on_close(self, name: str, close: Closer) -> None:
        """Calls `close`, async or not, at the end; the newest first."""
        self._closers.append((name, close))

    def spawn(
        self, work: Coroutine[Any, Any, object], name: str, *, stop: Closer | None = None
    ) -> asyncio.Task[object]:
        """Runs `work` in the background; if it raises, the process stops with exit code 1.

        At the end, in its turn, `stop` asks it to finish; without one, or after the grace, it is cancelled.
        """
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_task_done)

        async def finish() -> None:
            try:
                if stop is not None:
                    await _maybe_await(stop())
                    await asyncio.wait((task,))
            finally:
                task.cancel()
                await asyncio.wait((task,), timeout=CLOSE_S_MIN)

        self.on_close(f"{name} (task)", finish)
        return task

    def repeat(self, work: Callable[[], Awaitable[int]], name: str, *, pause_s: float, full: int = 1) -> None:
        """Does `work` over and over in the background, as `workers.repeat` says; its end needs no grace."""
        self.spawn(workers.repeat(name, work, pause_s=pause_s, full=full), name)

    async def serve(self, server: grpc.aio.Server, *, services: Sequence[str] = ()) -> None:
        """Binds and starts the server, and returns when it has drained.

        `services` are the full names for the health service (beside "") and for reflection.
        """
        settings = self._settings
        if not isinstance(settings, ServiceSettings):
            raise TypeError("a gRPC server needs ServiceSettings")
        self._health = add_health(server, services)
        await self._health.tell(False)
        if settings.grpc_reflection:
            add_reflection(server, services)
        address = f"{settings.host}:{settings.grpc_port}"
        credentials = _server_credentials(settings)
        try:
            self.grpc_port = (
                server.add_insecure_port(address)
                if credentials is None
                else server.add_secure_port(address, credentials)
            )
        except RuntimeError:
            raise CannotStart(_port_fault(settings, "grpc_port", "already in use or not allowed")) from None
        await self.serve_with(server.start, server.stop)

    async def serve_with(
        self, start: Callable[[], Awaitable[object]], stop: Callable[[float], Awaitable[object]]
    ) -> None:
        """Starts any server, waits for the end, then drains: not ready, a short wait, `stop(grace_s)`."""
        await start()
        _quieten_collector()
        self._serving = True
        await self._check_once()
        _logger.info(
            "serving", ready=self._condition.ready, admin_port=self.admin_port, grpc_port=self.grpc_port
        )
        await self._stop.wait()
        self._serving = False
        await self._check_once()
        if self._health is not None:
            await self._health.drain()
        await asyncio.sleep(min(self._settings.drain_wait_s, self._left_s() / 2))
        await stop(self._left_s() * SERVER_SHARE_OF_GRACE)

    def stop(self) -> None:
        """Begins the drain, as a signal would."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + self._settings.drain_grace_s
        self._stop.set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._serving = False
        stopped_while_starting = isinstance(error, asyncio.CancelledError) and self._stop.is_set()
        if stopped_while_starting and self._main is not None:
            self._main.uncancel()
        self.stop()
        while self._closers:
            name, close = self._closers.pop()
            await self._close(name, close)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if self._crash is not None:
            raise SystemExit(EXIT_CRASHED) from self._crash
        _logger.info("stopped")
        return stopped_while_starting

    async def _close(self, name: str, close: Closer) -> None:
        """Runs one closer within what is left of the grace; its failure does not keep others from theirs."""
        try:
            async with asyncio.timeout(max(CLOSE_S_MIN, self._left_s())):
                await _maybe_await(close())
        except TimeoutError:
            _logger.error("closing took too long", part=name)
        except Exception:
            _logger.exception("closing failed", part=name)

    def _left_s(self) -> float:
        return max(0.0, (self._drain_until or 0.0) - time.monotonic())

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            os._exit(128 + number)
        _logger.info("stopping", signal=number.name)
        self._begin_stop()

    def _begin_stop(self) -> None:
        self.stop()
        if not self._serving and self._main is not None:
            self._main.cancel()

    def _on_task_done(self, task: asyncio.Task[object]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        _logger.error("a background task crashed", task=task.get_name(), exc_info=error)
        if self._crash is None:
            self._crash = error
        if not self._stop.is_set():
            self._begin_stop()

    async def _keep_checking(self) -> None:
        while True:
            await self._check_once()
            await asyncio.sleep(READY_CHECK_PERIOD_S)

    async def _check_once(self) -> None:
        if self._stop.is_set():
            self._condition = Condition(checks={"serving": "draining"})
            return
        names, asked = tuple(self._checks), map(_ask, self._checks.values())
        answers = map(_verdict, await asyncio.gather(*asked, return_exceptions=True))
        checks = {"serving": "ok" if self._serving else "not yet"} | dict(zip(names, answers, strict=True))
        ready = all(answer == "ok" for answer in checks.values())
        if ready != self._condition.ready:
            _logger.info("readiness changed", ready=ready, checks=checks)
        self._condition = Condition(ready=ready, checks=checks)
        if self._health is not None:
            await self._health.tell(ready)


async def _ask(check: Check) -> object:
    async with asyncio.timeout(READY_CHECK_TIMEOUT_S):
        return await _maybe_await(check())


def _verdict(answer: object) -> str:
    """The word ok, or why not, without the text of unexpected errors, which may hold secrets."""
    if isinstance(answer, DomainError):
        return str(answer)
    if isinstance(answer, BaseException):
        return type(answer).__name__
    return "failed" if answer is False else "ok"


async def _maybe_await(result: object) -> object:
    return await result if inspect.isawaitable(result) else result


def _server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    files = settings.grpc_files
    if files is None:
        return None
    return tls.server_credentials(tls.Watched("grpc", files, files.server_configuration))


def _port_fault(settings: ProcessSettings, field: str, cause: str) -> str:
    prefix = type(settings).model_config.get("env_prefix", "")
    return f"cannot listen on {settings.host}:{getattr(settings, field)} ({prefix}{field.upper()}): {cause}"


def _quieten_collector() -> None:
    """Spares the cyclic collector what lives for ever, and lets it run less often.

    Requests leave next to no cycles behind; with Python's thresholds a sixth of a placement's time went into looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
