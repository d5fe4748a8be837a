"""The document is a valid OpenAPI 3.1 document, complete, and its examples are what the gateway takes."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from services.gateway.config import GatewaySettings
from services.gateway.openapi import openapi_document, operation_id
from services.gateway.routes.route import Route
from services.gateway.wiring import Gateway

KEYS = json.dumps([{"key": "a-key-for-the-test", "tenant_id": "demo", "role": "operator"}])


@pytest.fixture
async def routes() -> tuple[Route, ...]:
    """All routes, wired to nothing."""
    gateway = Gateway(GatewaySettings(api_keys=KEYS))
    await gateway.close()
    return gateway.routes


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()


async def test_the_document_is_complete(routes: tuple[Route, ...]) -> None:
    document = json.loads(msgspec.json.encode(openapi_document(routes)))
    assert document["openapi"].startswith("3.1")
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) == len(routes)
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    for path, method, operation in operations:
        assert operation["summary"], path
        assert any(status.startswith("4") for status in operation["responses"]), path
        assert "503" in operation["responses"], path
        if path.startswith("/v1"):
            assert operation["security"], path
            assert "401" in operation["responses"], path
        if method == "put" or (method == "post" and "requestBody" in operation):
            for content in operation["requestBody"]["content"].values():
                assert content["schema"], path
    for reference in _references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


async def test_every_schema_is_valid_and_every_example_fits_its_schema(routes: tuple[Route, ...]) -> None:
    document = json.loads(msgspec.json.encode(openapi_document(routes)))
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content:
                    schema = content["schema"] | {"components": document["components"]}
                    Draft202012Validator(schema).validate(content["example"])


async def test_examples_decode_as_bodies(routes: tuple[Route, ...]) -> None:
    for route in routes:
        if route.body is not None and route.body is not bytes:
            msgspec.json.decode(msgspec.json.encode(route.body_example), type=route.body)


async def test_every_operation_has_the_name_that_a_client_would_guess(routes: tuple[Route, ...]) -> None:
    names = {(route.method, route.path): operation_id(route) for route in routes}
    assert len(set(names.values())) == len(routes)
    assert all(re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)*", name) for name in names.values()), names
    assert names["POST", "/v1/orders"] == "placeOrder"
    assert names["GET", "/v1/orders"] == "listOrders"
    assert names["GET", "/v1/orders/{order_id}"] == "getOrder"
    assert names["POST", "/v1/orders/{order_id}:pay"] == "payOrder"
    assert names["PUT", "/v1/products/{product_id}"] == "updateProduct"
    assert names["POST", "/v1/products:batchGet"] == "batchGetProducts"


async def test_every_enum_has_one_type_and_every_time_its_format(routes: tuple[Route, ...]) -> None:
    schemas = json.loads(msgspec.json.encode(openapi_document(routes)))["components"]["schemas"]
    for name, schema in schemas.items():
        for field, described in schema["properties"].items():
            choices = described.get("anyOf", [described])
            real = [choice for choice in choices if choice != {"type": "null"}]
            assert len(real) == 1, (name, field)
            if "enum" in real[0]:
                assert real[0]["type"] == "string", (name, field)
            if field == "time" or field.endswith("_time"):
                assert real[0]["format"] == "date-time", (name, field)
