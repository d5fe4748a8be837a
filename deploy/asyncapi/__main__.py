"""Write the AsyncAPI 3 document of every topic to gen/asyncapi.yaml: `make asyncapi`.

`python -m deploy.asyncapi FILE` writes it elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from deploy.asyncapi import contracts, topics
from deploy.asyncapi.document import document
from deploy.local.settings import ROOT

TARGET = ROOT / "gen" / "asyncapi.yaml"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, for those who read the file, and everything in full, without aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """No anchors."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def text() -> str:
    """Return the document as YAML."""
    made = document(topics.all_topics(), contracts.load())
    return yaml.dump(made, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def main(arguments: list[str]) -> int:
    """Write it."""
    target = Path(arguments[0]) if arguments else TARGET
    target.write_text(text(), encoding="utf-8")
    print(f"asyncapi: wrote {target.relative_to(ROOT) if target.is_relative_to(ROOT) else target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
