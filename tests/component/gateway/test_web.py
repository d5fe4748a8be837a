"""The storefront's and the console's pages over HTTP: what is served, how it is kept, and what is never served."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from pathlib import Path

import httpx
import pytest
import zstandard

from services.gateway.web_files import FILE_BYTES_MAX
from tests.component.gateway.conftest import Start, System
from tests.component.gateway.test_edge import assert_problem

SCRIPT = "console.log('hello');\n" * 200


def build(folder: Path, *, script: str = SCRIPT, page: str = "<!doctype html>", **further: str) -> None:
    """Files as a build leaves them, its list last."""
    folder.mkdir(exist_ok=True)
    files = {"shop.html": page, "console.html": page, "shop-0a1b2c.js": script, **further}
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "build.json.new").write_text(json.dumps({"files": sorted(files)}))
    (folder / "build.json.new").replace(folder / "build.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a build, and beside it something that is nobody's business."""
    build(tmp_path / "web")
    (tmp_path / "web" / "unlisted.js").write_text("secret")
    (tmp_path / "secret.js").write_text("secret")
    return tmp_path / "web"


@pytest.fixture
async def system(start: Start, folder: Path) -> System:
    """A gateway that serves it."""
    return await start(web_dir=str(folder))


async def get(system: System, path: str, **headers: str) -> httpx.Response:
    """A GET that takes no encoding but those that are given."""
    return await system.anonymous.get(path, headers={"accept-encoding": "identity"} | headers)


@pytest.mark.parametrize("path", ["/shop", "/console"])
async def test_a_page_needs_no_key_and_lets_nothing_foreign_in(system: System, path: str) -> None:
    answer = await get(system, path)
    assert (answer.status_code, answer.text) == (200, "<!doctype html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    rules = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    policy = {name: value for name, _, value in rules}
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_an_asset_is_kept_for_good(system: System) -> None:
    answer = await get(system, "/web/shop-0a1b2c.js")
    assert (answer.status_code, answer.text) == (200, SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/shop", "/web/shop-0a1b2c.js"])
async def test_a_copy_that_is_current_is_not_sent_again(system: System, path: str) -> None:
    first = await get(system, path)
    again = await get(system, path, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"]
    other = await get(system, path, **{"if-none-match": '"another"'})
    assert other.status_code == 200


async def test_each_encoding_has_its_own_bytes_and_its_own_tag(system: System) -> None:
    tags = {(await get(system, "/web/shop-0a1b2c.js")).headers["etag"]}
    for encoding in ("gzip", "zstd"):
        async with system.anonymous.stream(
            "GET", "/web/shop-0a1b2c.js", headers={"accept-encoding": encoding}
        ) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "accept-encoding"
        assert len(raw) < len(SCRIPT)
        unpacked = gzip.decompress(raw) if encoding == "gzip" else zstandard.decompress(raw)
        assert unpacked.decode() == SCRIPT
        tags.add(answer.headers["etag"])
    assert len(tags) == 3


@pytest.mark.parametrize("path", ["/shop", "/web/shop-0a1b2c.js", "/healthz", "/docs"])
async def test_head_is_get_without_the_body(system: System, path: str) -> None:
    got = await get(system, path)
    head = await system.anonymous.head(path, headers={"accept-encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert head.headers.get(name) == got.headers.get(name)
    # The connection is in step: the next answer is that of the next request.
    assert (await get(system, path)).content == got.content
    assert (await system.anonymous.options(path)).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_head_stays_refused_where_a_key_is_needed(system: System) -> None:
    answer = await system.operator.head("/v1/orders")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, OPTIONS, POST"


@pytest.mark.parametrize(
    "path",
    [
        "/web/unlisted.js",
        "/web/build.json",
        "/web/shop.html",
        "/web/../secret.js",
        "/web/..%2fsecret.js",
        "/web/%2e%2e%2fsecret.js",
        "/web/....//secret.js",
        "/web/..%5csecret.js",
        "/web//etc/passwd",
        "/web/%2fetc%2fpasswd",
        "/web/shop-0a1b2c.js%00.html",
        "/web/",
        "/shop/../secret.js",
        "/console/%2e%2e/secret.js",
    ],
)
async def test_nothing_is_served_but_what_the_build_lists(system: System, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
    # By hand: a client would tidy the path.
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 404"), answer
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]


async def test_new_pages_are_served_once_they_are_built(system: System, folder: Path) -> None:
    first = await get(system, "/shop")
    (folder / "shop-0a1b2c.js").unlink()
    build(folder, page="<!doctype html><title>new</title>", **{"shop-ffffff.js": "let fresh;"})
    second = await get(system, "/shop")
    assert second.text.endswith("<title>new</title>")
    assert second.headers["etag"] != first.headers["etag"]
    assert (await get(system, "/web/shop-ffffff.js")).text == "let fresh;"


async def test_pages_that_are_being_replaced_are_served_as_they_were(system: System, folder: Path) -> None:
    await get(system, "/shop")
    shutil.move(folder, folder.with_name("away"))
    assert (await get(system, "/shop")).status_code == 200
    assert (await get(system, "/web/shop-0a1b2c.js")).text == SCRIPT


@pytest.mark.parametrize("web_dir", ["", "/nowhere/at/all"])
async def test_pages_that_were_not_built_are_told(start: Start, web_dir: str) -> None:
    system = await start(web_dir=web_dir)
    for path in ("/shop", "/console"):
        problem = assert_problem(await get(system, path), 404, "PAGES_NOT_BUILT")
        assert "make web" in str(problem["detail"])
    assert_problem(await get(system, "/web/shop-0a1b2c.js"), 404, "ROUTE_NOT_FOUND")


@pytest.mark.parametrize(
    "spoilt",
    [
        '{"files": ["../secret.js"]}',
        '{"files": ["/etc/hosts"]}',
        '{"files": ["shop.exe"]}',
        '{"files": ["gone.js"]}',
        '{"files": "shop.html"}',
        "[",
        json.dumps({"files": [f"{number}.js" for number in range(100)]}),
    ],
)
async def test_a_list_that_no_build_writes_serves_nothing(start: Start, folder: Path, spoilt: str) -> None:
    (folder / "build.json").write_text(spoilt)
    system = await start(web_dir=str(folder))
    assert_problem(await get(system, "/shop"), 404, "PAGES_NOT_BUILT")


async def test_a_file_beyond_the_bound_serves_nothing(start: Start, folder: Path) -> None:
    build(folder, script="x" * (FILE_BYTES_MAX + 1))
    system = await start(web_dir=str(folder))
    assert_problem(await get(system, "/shop"), 404, "PAGES_NOT_BUILT")
