"""The generated clients, compiled and type-checked by `make sdk`, against the running system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import sdk
from tests.e2e.conftest import KEYS, Shop

pytestmark = [pytest.mark.stack]


def tour(shop: Shop, *command: str | Path, **variables: str) -> dict[str, object]:
    """Run a client's example as a storefront; return what it prints."""
    sku = shop.new_sku()
    done = subprocess.run(
        [*map(str, command), sku],
        env=os.environ
        | {"SAMPAN_URL": shop.stack.settings.gateway_url, "SAMPAN_API_KEY": KEYS["storefront"]["key"]}
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def assert_toured(shop: Shop, told: dict[str, object]) -> None:
    """The order that the client speaks of is there, once."""
    order = shop.order(str(told["order_id"]))
    assert told == {
        "order_id": order["order_id"],
        "state": "confirmed",
        "total": {"currency_code": "EUR", "amount": "10.00"},
        "repeated_order_id": order["order_id"],
        "replayed": "true",
        "other_body_with_the_same_key": "REQUEST_ID_REUSED",
    }
    assert [line["quantity"] for line in order["lines"]] == [1]


def made(example: Path) -> Path:
    """The example of a client, which must be of the present document; skips where that client was not made.

    Each is looked for by itself: `make web`, and so `make up`, makes the one in TypeScript alone.
    """
    if not example.exists():
        pytest.skip(f"there is no {example.relative_to(sdk.TARGET)}: `make sdk`")
    assert json.loads(sdk.DOCUMENT.read_text(encoding="utf-8")) == json.loads(json.dumps(sdk.document())), (
        "the clients are of another document: `make sdk`"
    )
    return example


def test_the_typescript_client_places_an_order_and_reads_it_back(shop: Shop) -> None:
    example = made(sdk.TYPESCRIPT / "examples" / "lib" / "place-order.js")
    assert_toured(shop, tour(shop, "node", example))


def test_the_python_client_places_an_order_and_reads_it_back(shop: Shop) -> None:
    example = made(sdk.PYTHON / "examples" / "place_order.py")
    assert_toured(shop, tour(shop, sys.executable, example, PYTHONPATH=str(sdk.PYTHON)))
