"""Carry one order to delivery through the stack in containers: `python -m deploy.compose.order`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

from deploy.compose.prepare import FOLDER, prepare
from deploy.local import demo
from deploy.local.settings import LOOPBACK, TENANT_ID, StackError


def carry(url: str, keys: dict[str, str]) -> demo.Document:
    """Seed the demonstration's catalogue where it is missing, place an order and deliver it; return the order."""
    operator, storefront, platform = (
        demo.Shop(url, keys[role]) for role in ("operator", "storefront", "platform")
    )
    try:
        tenant = {"tenant_id": TENANT_ID, "display_name": "The demonstration"}
        platform.post("/v1/tenants", tenant, accept=(409,))
        demo.seed(operator, lambda text: print(f"seed: {text}", flush=True))
        order = demo.place(storefront)
        print(
            f"order: {order['order_id']} is {order['state']}, {order['sourcing'] or order['reason']}",
            flush=True,
        )
        return demo.deliver(storefront, operator, order)
    finally:
        for shop in (operator, storefront, platform):
            shop.close()


def main() -> int:
    """Do it, and say so; 1 where it cannot be done."""
    url = f"http://{LOOPBACK}:{os.environ.get('GATEWAY_PORT') or 8080}"
    try:
        order = carry(url, prepare(Path(os.environ.get("SAMPAN_SECRETS") or FOLDER)))
    except (StackError, httpx.HTTPError) as fault:
        print(f"order: {fault!r}" if isinstance(fault, httpx.HTTPError) else str(fault), file=sys.stderr)
        return 1
    print(f"order: {order['order_id']} is {order['state']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
