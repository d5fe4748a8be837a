"""Writes the dashboards into a folder, dist/dashboards unless another is named; Grafana's provisioning reads it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.grafana import business, operation
from deploy.grafana.panels import board
from deploy.local.settings import ROOT

FOLDER = ROOT / "dist" / "dashboards"


def boards() -> Mapping[str, str]:
    """The JSON of each dashboard by its uid."""
    return {
        made.UID: board(made.UID, made.TITLE, made.DESCRIPTION, made.rows()) for made in (business, operation)
    }


def main(arguments: list[str]) -> int:
    """Writes one file per dashboard."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for uid, text in boards().items():
        (folder / f"{uid}.json").write_text(text + "\n", encoding="utf-8")
        print(f"dashboards: wrote {folder / uid}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
