"""Build the storefront's and the console's pages into dist/web, on the generated TypeScript client: `make web`.

`python -m deploy.web --if-stale` does so only where what they are made of has changed since, and only where Node.js is;
it exits with 0 either way: the rest of Sampan does not need them. Nothing built is committed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from deploy import node
from deploy.local.settings import ROOT, WEB_PAGES
from deploy.node import CommandError

SOURCES = ROOT / "web"
WORK = ROOT / ".local" / "web"
"""Sources beside their packages: nothing is installed into the tree."""
STAMP = WORK / "built-from.sha256"
FOLDERS = ("shared", "storefront", "console")
CLIENT = ("node_modules", "@sampan", "client")


def is_current() -> bool:
    """Whether what lies in dist/web was made from what is there now.

    A look at the sources tells it at once; where the gateway's have changed, the API's document decides.
    """
    if not (WEB_PAGES / "build.json").exists() or not STAMP.exists():
        return False
    seen = STAMP.read_text().split()
    return _print_of_sources() in seen or _print_of_content() in seen


def stamp() -> None:
    """Note what the pages were made from."""
    STAMP.write_text(f"{_print_of_sources()}\n{_print_of_content()}\n")


def _print_of_sources() -> str:
    gateway = (ROOT / "services" / "gateway").rglob("*.py")
    return _hashed(b"sources", [*_inputs(), *gateway, *(ROOT / "gen").glob("contracts.sha256")])


def _print_of_content() -> str:
    # Importing it builds the gateway's routes, which takes longer than all the rest.
    from deploy import sdk

    return _hashed(json.dumps(sdk.document()).encode(), _inputs())


def _hashed(head: bytes, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(head)
    for path in sorted(paths):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _inputs() -> list[Path]:
    folders = (SOURCES, ROOT / "sdk" / "typescript")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [*files, Path(__file__), ROOT / "deploy" / "sdk.py", ROOT / "deploy" / "node.py"]


def build() -> None:
    """Make the client, check the types, bundle; then swap the new pages for the present ones."""
    from deploy import sdk

    node.install(SOURCES, WORK)
    sdk.write_document()
    sdk.typescript()
    client = WORK.joinpath(*CLIENT)
    shutil.rmtree(client, ignore_errors=True)
    client.mkdir(parents=True)
    shutil.copytree(sdk.TYPESCRIPT / "lib", client / "lib")
    shutil.copyfile(sdk.TYPESCRIPT / "package.json", client / "package.json")
    for folder in FOLDERS:
        shutil.rmtree(WORK / folder, ignore_errors=True)
    shutil.copytree(SOURCES, WORK, dirs_exist_ok=True)
    node.run("npm", "run", "--silent", "check", cwd=WORK)
    built = WORK / "built"
    node.run("npm", "run", "--silent", "build", "--", built, cwd=WORK)
    shutil.rmtree(WEB_PAGES, ignore_errors=True)
    WEB_PAGES.parent.mkdir(exist_ok=True)
    built.rename(WEB_PAGES)
    stamp()


def main(arguments: list[str]) -> int:
    """Build; say what was done."""
    is_optional = "--if-stale" in arguments
    if is_optional and is_current():
        print("web: up to date")
        return 0
    if (found := node.fault()) is not None:
        print(f"web: {found} for the storefront and the console", file=sys.stderr)
        return 0 if is_optional else 1
    try:
        build()
    except CommandError as error:
        print(f"web: {error}", file=sys.stderr)
        return 1
    print(f"web: {WEB_PAGES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
