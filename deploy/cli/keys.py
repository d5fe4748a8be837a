"""`sampan keys`: API keys, over the API, so that access records who has done what."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import typer

from deploy.cli import exits, output, system
from deploy.replay.client import Api, Reply

app = typer.Typer(no_args_is_help=True, help="API keys of the tenant that SAMPAN_API_KEY belongs to.")
COLUMNS = (
    "api_key_id",
    "display_name",
    "roles",
    "merchant_ids",
    "warehouse_ids",
    "state",
    "expire_time",
    "secrets",
)
PAGE_SIZE = "200"
PAGES_MAX = 100
ADVICE = "the secret was told in an earlier answer that was lost: rotate or revoke this key"

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the keys, never their secrets."""
    output.rows([_shown(key, as_json) for key in exits.run(_all())], COLUMNS, as_json=as_json)


@app.command()
def show(api_key_id: KeyId, as_json: output.Json = False) -> None:
    """Show a key, without its secrets."""
    key = exits.run(_ask("GET", f"/v1/api-keys/{api_key_id}"))
    output.facts(_shown(key, as_json), as_json=as_json)


@app.command()
def create(
    display_name: Annotated[str, typer.Argument(help="What it is for, for people.")],
    role: Annotated[list[str], typer.Option("--role", help="What it may do; several are allowed.")],
    merchant: Annotated[list[str] | None, typer.Option("--merchant", help="Only for this merchant.")] = None,
    warehouse: Annotated[
        list[str] | None, typer.Option("--warehouse", help="Only for this warehouse.")
    ] = None,
    expires: Annotated[datetime | None, typer.Option("--expires", help="When it ends, in UTC.")] = None,
    tenant: Annotated[
        str, typer.Option("--tenant", help="For this tenant instead; needs a key of the role platform.")
    ] = "",
    as_json: output.Json = False,
) -> None:
    """Create a key and print its secret, which is told only this once."""
    body = {
        "display_name": display_name,
        "roles": role,
        "merchant_ids": merchant or [],
        "warehouse_ids": warehouse or [],
        **({"expire_time": f"{expires.isoformat()}Z"} if expires is not None else {}),
    }
    path = f"/v1/tenants/{tenant}/api-keys" if tenant else "/v1/api-keys"
    _issued(exits.run(_ask("POST", path, body, role="platform" if tenant else "administrator")), as_json)


@app.command()
def rotate(
    api_key_id: KeyId,
    grace: Annotated[
        int | None,
        typer.Option(
            "--grace", min=0, help="Seconds for which the secret before stays good; else until revoked."
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Give a key another secret and print it; the one before stays good until it is revoked."""
    body = {} if grace is None else {"grace_period_s": grace}
    _issued(exits.run(_ask("POST", f"/v1/api-keys/{api_key_id}:rotate", body)), as_json)


@app.command()
def revoke(
    api_key_id: KeyId,
    secret_id: Annotated[str, typer.Option("--secret-id", help="Only this secret, not the whole key.")] = "",
    as_json: output.Json = False,
) -> None:
    """End a key, or one secret of it, for good; every gateway knows within about a second."""
    key = exits.run(_ask("POST", f"/v1/api-keys/{api_key_id}:revoke", {"secret_id": secret_id}))
    output.facts(_shown(key, as_json), as_json=as_json)


def _issued(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.document(answer)
    else:
        shown = _shown(answer["api_key"], as_json) | {"secret": answer["secret"] or f"({ADVICE})"}
        output.facts(shown, as_json=False)


def _shown(key: dict[str, Any], as_json: bool) -> dict[str, Any]:
    """A key for people: of its secrets what may be shown, and how they stand."""
    if as_json:
        return key
    secrets = [
        f"{secret['secret_id']}{' (revoked)' if secret.get('revoke_time') else ''}"
        for secret in key["secrets"]
    ]
    return {**{name: key.get(name) for name in COLUMNS}, "secrets": secrets}


async def _all() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    async with system.api().opened() as api:
        for _ in range(PAGES_MAX):
            page = _must(await api.get("/v1/api-keys", {"page_size": PAGE_SIZE, "page_token": token}))
            found += page["api_keys"]
            token = page["next_page_token"]
            if not token:
                return found
    raise exits.Refusal(f"there are more than {PAGES_MAX} pages of keys")


async def _ask(
    method: str, path: str, body: object | None = None, *, role: str = "administrator"
) -> dict[str, Any]:
    async with system.api(role).opened() as api:
        return _must(await _sent(api, method, path, body))


async def _sent(api: Api, method: str, path: str, body: object | None) -> Reply:
    if body is None:
        return await api.send(method, path)
    return await api.post(path, json.dumps(body).encode(), key=str(uuid4()))


def _must(reply: Reply) -> dict[str, Any]:
    """The document of an answer; raises Refusal with what the API says."""
    document: dict[str, Any] = json.loads(reply.body or b"{}")
    if not reply.ok:
        said = document.get("detail") or document.get("title") or reply.status
        raise exits.Refusal(f"{document.get('reason', reply.status)}: {said}")
    return document
