"""Who may do what: the routes, the page that shows it and the OpenAPI document say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from services.gateway.config import GatewaySettings
from services.gateway.openapi import openapi_document
from services.gateway.roles import PLATFORM_ONLY, ROLE_OF_SCOPE, ROLES
from services.gateway.routes.route import Route
from services.gateway.wiring import Gateway

PAGE = Path(__file__).resolve().parents[3] / "docs" / "access.md"
_row = re.compile(r"^\| `(GET|POST|PUT|DELETE) (/\S+)` \|(.+)\|$", re.MULTILINE)


@pytest.fixture
async def routes() -> tuple[Route, ...]:
    """All routes, wired to nothing."""
    gateway = Gateway(GatewaySettings())
    await gateway.close()
    return gateway.routes


async def test_every_route_of_the_api_needs_a_role_or_a_signature_and_no_other_does(
    routes: tuple[Route, ...],
) -> None:
    for route in routes:
        assert (route.roles is not None or route.is_signed) == route.path.startswith("/v1/"), route.path
        assert route.roles is None or not route.is_signed, route.path
        assert route.roles is None or route.roles <= set(ROLES), route.path


async def test_the_page_shows_the_table_that_is_in_force(routes: tuple[Route, ...]) -> None:
    shown = {
        (method, path): {role for role, cell in zip(ROLES, cells.split("|"), strict=True) if cell.strip()}
        for method, path, cells in _row.findall(PAGE.read_text("utf-8"))
    }
    in_force = {(route.method, route.path): set(route.roles) for route in routes if route.roles is not None}
    assert shown == in_force
    some = {
        (method, path): {
            f"{role}s" for role, cell in zip(ROLES, cells.split("|"), strict=True) if "or some" in cell
        }
        for method, path, cells in _row.findall(PAGE.read_text("utf-8"))
    }
    assert some == {
        (route.method, route.path): {
            str(scope) for scope in route.scopes if ROLE_OF_SCOPE[scope] in route.roles
        }
        for route in routes
        if route.roles is not None
    }


async def test_a_reader_changes_nothing_and_sees_no_keys(routes: tuple[Route, ...]) -> None:
    for route in routes:
        if route.roles is not None and "reader" in route.roles:
            assert route.method == "GET" or route.path.endswith(":batchGet"), route.path
            assert "key" not in route.path


async def test_the_platform_keeps_tenants_keys_and_parked_events_and_nothing_else(
    routes: tuple[Route, ...],
) -> None:
    """What is of all tenants is no tenant's."""
    of_all = ("/v1/tenants", "/v1/parked-")
    for route in routes:
        if route.roles is not None and "platform" in route.roles:
            assert route.path.startswith((*of_all, "/v1/api-keys"))
        if route.path.startswith(of_all):
            assert route.roles == PLATFORM_ONLY


async def test_a_scope_is_taken_by_routes_that_its_role_may_use(routes: tuple[Route, ...]) -> None:
    for route in routes:
        if "merchants" in route.scopes:
            assert "merchant" in (route.roles or ()), route.path
        if "warehouses" in route.scopes:
            assert "warehouse" in (route.roles or ()), route.path


async def test_the_document_names_the_roles_of_every_operation(routes: tuple[Route, ...]) -> None:
    document = msgspec.json.decode(msgspec.json.encode(openapi_document(routes)))
    for route in routes:
        operation = document["paths"][route.path][route.method.lower()]
        named = {
            role for requirement in operation["security"] for roles in requirement.values() for role in roles
        }
        assert named == set(route.roles or ())
        assert (operation["security"] == [{"webhookSignature": []}]) == route.is_signed
