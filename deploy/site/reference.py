"""What is made from the code: the API's reference with its offline viewer, the page of topics, both documents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openapi_ui_bundles.swagger_ui

import deploy.asyncapi.__main__ as asyncapi
from deploy import openapi
from deploy.asyncapi import contracts, page, topics

Json = dict[str, Any]

_VIEWER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
# The document is a script: a page that is opened from a folder may not fetch one.
_VIEWER = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sampan API</title>
<link rel="stylesheet" href="swagger-ui.css">
<link rel="icon" type="image/png" href="favicon-32x32.png">
</head>
<body>
<p style="font-family: sans-serif; margin: 1em"><a href="../api-reference.html">Back to the documentation</a></p>
<div id="viewer"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="document.js"></script>
</body>
</html>
"""
_START = (
    "SwaggerUIBundle({{spec: {document}, dom_id: '#viewer', deepLinking: true, validatorUrl: null, "
    "supportedSubmitMethods: []}});\n"
)


def write(pages: Path) -> None:
    """Write the pages and files of the references among the site's pages."""
    document = openapi.document()
    (pages / "openapi.json").write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    (pages / "api-reference.md").write_text(operations(document), encoding="utf-8")
    _viewer(pages / "viewer", document)
    (pages / "asyncapi.yaml").write_text(asyncapi.text(), encoding="utf-8")
    (pages / "topics.md").write_text(page.page(topics.all_topics(), contracts.load()), encoding="utf-8")


def _viewer(folder: Path, document: Json) -> None:
    folder.mkdir()
    for name in _VIEWER_FILES:
        shutil.copyfile(openapi_ui_bundles.swagger_ui.static_path / name, folder / name)
    (folder / "index.html").write_text(_VIEWER, encoding="utf-8")
    (folder / "document.js").write_text(_START.format(document=json.dumps(document)), encoding="utf-8")


def operations(document: Json) -> str:
    """The page of operations: each with what it takes and what it answers."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(_operation(path, method, operation))
    parts = [
        "# API reference",
        "Every operation in short. [The viewer](viewer/index.html) shows all of it, with schemas and examples, and "
        "works without a network; [openapi.json](openapi.json) is the same for tools. A running gateway serves both "
        "at `/docs` and `/openapi.json`.",
    ]
    for tag, texts in by_tag.items():
        parts += [f"## {tag}", *texts]
    return "\n\n".join(parts) + "\n"


def _operation(path: str, method: str, operation: Json) -> str:
    lines = [f"### {operation['operationId']}", f"`{method.upper()} {path}`", f"{operation['summary']}."]
    if text := operation.get("description"):
        lines.append(text)
    if parameters := operation["parameters"]:
        rows = [
            f"| `{one['name']}` | {one['in']} | {'yes' if one['required'] else ''} "
            f"| {_cell(one.get('description', ''))} |"
            for one in parameters
        ]
        lines.append("\n".join(["| parameter | in | required | meaning |", "|---|---|---|---|", *rows]))
    rows = [f"| {status} | {_answer(answer)} |" for status, answer in operation["responses"].items()]
    lines.append("\n".join(["| status | answer |", "|---|---|", *rows]))
    return "\n\n".join(lines)


def _answer(answer: Json) -> str:
    names = [name for content in answer.get("content", {}).values() for name in _names(content["schema"])]
    if names == ["ProblemDocument"]:
        return _cell(answer["description"])
    return ", ".join(f"`{name}`" for name in names) or _cell(answer["description"])


def _names(schema: Mapping[str, Any]) -> list[str]:
    """The schemas that a schema is, or is one of."""
    if "$ref" in schema:
        return [str(schema["$ref"]).rpartition("/")[2]]
    return [name for part in schema.get("oneOf", ()) for name in _names(part)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
