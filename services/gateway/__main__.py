"""python -m services.gateway [serve|config]: the composition root."""

from services.chassis import cli
from services.chassis.lifecycle import Runtime, listen
from services.gateway.config import GatewaySettings
from services.gateway.server import HttpServer
from services.gateway.wiring import Gateway


async def serve(settings: GatewaySettings) -> None:
    """Runs until told to stop."""
    async with Runtime(settings, name="gateway") as runtime:
        gateway = Gateway(settings)
        runtime.on_close("clients", gateway.close)
        runtime.add_ready_check("keys", gateway.access.caught_up.is_set)
        runtime.add_ready_check("read models", gateway.snapshots.caught_up.is_set)
        runtime.add_ready_check("order feed", gateway.tail.caught_up.is_set)
        runtime.spawn(gateway.access.run(), "keys", stop=gateway.access.stop)
        runtime.spawn(gateway.limits_exchange.run(), "rate limits", stop=gateway.limits_exchange.stop)
        runtime.spawn(gateway.snapshots.run(), "read models", stop=gateway.snapshots.stop)
        runtime.spawn(gateway.tail.run(), "order feed", stop=gateway.tail.stop)
        server = HttpServer(
            gateway.app,
            settings.client_limits(),
            drain_grace_s=settings.drain_grace_s,
            certificates=settings.certificates(),
        )

        async def start() -> None:
            runtime.spawn(server.run(listen(settings, "port")), "http", stop=server.stop)

        async def stop(grace_s: float) -> None:
            gateway.end_streams()
            await server.stop(grace_s)

        await runtime.serve_with(start, stop)


if __name__ == "__main__":
    cli.run(cli.Service(name="gateway", settings=GatewaySettings, serve=serve))
