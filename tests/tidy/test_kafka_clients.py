"""Every client of Kafka speaks as the settings say: one that forgets it works everywhere but in a secured system."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_kafka_client_takes_the_security_settings() -> None:
    found, forgetful = 0, []
    for path in sorted([*ROOT.glob("services/**/*.py"), *ROOT.glob("deploy/audit/*.py")]):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith("AIOKafka"):
                continue
            found += 1
            unpacked = {ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg is None}
            if unpacked.isdisjoint({"kafka.security()", "_security"}):
                forgetful.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert found
    assert not forgetful
