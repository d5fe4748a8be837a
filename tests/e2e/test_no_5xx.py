"""No input gives a 5xx: examples of the documentation with odd values in odd places, against the whole system."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import Document, Shop, key

pytestmark = pytest.mark.stack

SEED = 20_261
MUTATIONS_PER_ROUTE = 120

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    "",
    " ",
    "0",
    "\u0000",
    "a\nb",
    "\u202e\ufeff",
    "🎎" * 70,
    "x" * 70_000,
    "'; DROP TABLE orders; --",
    "NaN",
    "-0.00",
    "9" * 60,
    "9999-12-31T23:59:59Z",
    [],
    [[]],
    [None],
    {},
    {"": ""},
    {"a": {"b": {}}},
]
ODD_TEXTS = [value for value in ODD if isinstance(value, str)] + ["%", "\u00e9", "a,b", "1&x=1"]


def odd(chance: random.Random) -> Any:
    """One of them for oneself: what is put into a document may be changed there."""
    return copy.deepcopy(chance.choice(ODD))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, its root excepted."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


def mutated(document: Document, chance: random.Random) -> Any:
    """The document with one or two values replaced, removed, doubled or added."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2))):
        found = list(places(changed))
        if not found:
            return odd(chance)
        *way, last = chance.choice(found)
        parent: Any = changed
        for step in way:
            parent = parent[step]
        action = chance.randrange(6)
        if action == 0:
            del parent[last]
        elif action == 1 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        elif action == 2 and isinstance(parent, dict):
            parent[chance.choice(("surprise", "\u0000", "tenant_id", ""))] = odd(chance)
        else:
            parent[last] = odd(chance)
    return changed


def test_bodies(shop: Shop, subtests: pytest.Subtests) -> None:
    chance = random.Random(SEED)
    document = shop.must(shop.anonymous.get("/openapi.json"))
    for path in ("/v1/merchants", "/v1/warehouses", "/v1/products", "/v1/stock:receive"):
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        # 409: another test of this session has made and changed it.
        assert shop.scratch.post(path, json=example, headers=key()).status_code in (200, 201, 409)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            with subtests.test(f"{method} {path}"):
                for _ in range(MUTATIONS_PER_ROUTE):
                    body = json.dumps(mutated(content["example"], chance)).encode()
                    url = path.replace("{order_id}", str(uuid4())).replace("{parcel_id}", str(uuid4()))
                    url = url.replace("{api_key_id}", str(uuid4())).replace("{tenant_id}", "scratch")
                    url = url.replace("{provider}", "sandbox")
                    url = url.replace("{product_id}", "silk-wig").replace("{warehouse_id}", "madrid")
                    headers = key() | {
                        "Content-Type": "application/json",
                        "If-Match": chance.choice(('"1"', "*")),
                    }
                    answer = shop.scratch.request(method, url, content=body, headers=headers)
                    assert answer.status_code < 500, f"seed {SEED}: {body[:2000]!r}: {answer.text}"
                    if answer.status_code >= 400:
                        assert answer.json()["type"].startswith("/problems/")


def test_queries(shop: Shop, subtests: pytest.Subtests) -> None:
    chance = random.Random(SEED)
    document = shop.must(shop.anonymous.get("/openapi.json"))
    for path, methods in document["paths"].items():
        parameters = [
            one["name"] for one in methods.get("get", {}).get("parameters", []) if one["in"] == "query"
        ]
        if not parameters:
            continue
        with subtests.test(path):
            for _ in range(MUTATIONS_PER_ROUTE):
                asked = {
                    name: chance.choice(ODD_TEXTS)[:3000] for name in parameters if chance.random() < 0.6
                }
                # Streams have no end: only what they begin with is looked at.
                with shop.scratch.stream("GET", path, params=asked) as answer:
                    assert answer.status_code < 500, f"seed {SEED}: {asked}: {answer.read()!r}"
            for raw in (
                "page_token=%ff",
                "%00=1",
                "=&&=",
                "page_size=%31",
                "&" * 2000,
                "page_token=" + "A" * 900,
            ):
                with shop.scratch.stream("GET", f"{path}?{raw}") as answer:
                    assert answer.status_code < 500, answer.read()
