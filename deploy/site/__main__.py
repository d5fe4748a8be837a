"""Build the documentation site in dist/site: `make docs`. A broken link or anchor fails.

SOURCE_URL, where given, is where links to source files lead.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from deploy import node
from deploy.local.settings import ROOT
from deploy.node import CommandError
from deploy.site import links, navigation, reference, staging

SOURCES = Path(__file__).parent
WORK = ROOT / ".local" / "site"
TOOLS = WORK / "tools"
TARGET = ROOT / "dist" / "site"
MERMAID = TOOLS / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"
ASYNCAPI_SCHEMA = TOOLS / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


def install_tools() -> None:
    """Install what is needed of npm: the diagrams' script and AsyncAPI's own schema."""
    node.install(SOURCES, TOOLS)


def build() -> list[str]:
    """Build the site beside the present one and swap; return the faults for which that was not done."""
    install_tools()
    pages = WORK / "pages"
    staging.stage(pages, source_url=os.environ.get("SOURCE_URL", ""))
    reference.write(pages)
    (pages / "assets").mkdir()
    shutil.copyfile(MERMAID, pages / "assets" / "mermaid.js")
    settings = (SOURCES / "zensical.toml").read_text(encoding="utf-8")
    (WORK / "zensical.toml").write_text(
        settings.replace("\nnav = []\n", f"\nnav = {navigation.toml(pages)}\n"), encoding="utf-8"
    )
    built = WORK / "site"
    shutil.rmtree(built, ignore_errors=True)
    node.run(Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean", cwd=WORK)
    if faults := links.faults(built):
        return faults
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.parent.mkdir(exist_ok=True)
    built.rename(TARGET)
    return []


def main(arguments: list[str]) -> int:
    """Build; with `--tools` only install the tools."""
    try:
        if "--tools" in arguments:
            install_tools()
            return 0
        faults = build()
    except (CommandError, FileNotFoundError) as error:
        print(f"docs: {error}", file=sys.stderr)
        return 1
    for fault in faults:
        print(f"docs: {fault}", file=sys.stderr)
    if faults:
        return 1
    print(f"docs: {TARGET.relative_to(ROOT)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
