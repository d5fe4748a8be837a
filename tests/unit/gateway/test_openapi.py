"""The document is a valid OpenAPI 3.1 document, complete, and its examples are what the gateway takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from services.gateway.config import GatewaySettings
from services.gateway.openapi import openapi_document
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
