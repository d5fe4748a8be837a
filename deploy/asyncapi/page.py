"""The page of topics and events for the documentation site, made from the same values as the AsyncAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.asyncapi.contracts import Contracts, Kind, relative
from deploy.asyncapi.document import INTRODUCTION, headers
from deploy.asyncapi.topics import Topic


def page(topics: Sequence[Topic], contracts: Contracts) -> str:
    """The page's Markdown."""
    parts = [
        "# Topics and events",
        INTRODUCTION.strip(),
        "The same for tools: [asyncapi.yaml](asyncapi.yaml) (AsyncAPI 3).",
        "| topic | owner | key | kept | events |\n|---|---|---|---|---|\n"
        + "".join(map(_row, topics)).strip(),
        "## Headers",
        "| header | always | value |\n|---|---|---|\n" + _headers(topics[0]),
    ]
    for topic in topics:
        parts += [f"## {topic.name}", _facts(topic)]
        parts += [_event(contracts.kinds[name]) for name in topic.types]
    parts.append("## Types")
    used = {
        kind.full_name: kind
        for topic in topics
        for name in topic.types
        for kind in contracts.used_by(name)[1:]
    }
    parts += [_type(kind) for kind in sorted(used.values(), key=lambda kind: kind.full_name)]
    return "\n\n".join(parts) + "\n"


def _row(topic: Topic) -> str:
    names = ", ".join(f"`{name.rpartition('.')[2]}`" for name in topic.types)
    return f"| [{topic.name}](#{_anchor(topic.name)}) | {topic.owner} | `{topic.key}` | {topic.kept} | {names} |\n"


def _anchor(title: str) -> str:
    """As the site's generator makes it of a title without spaces: dots fall away."""
    return title.replace(".", "").lower()


def _headers(topic: Topic) -> str:
    schema = headers(topic, topic.types[0])
    fixed = {
        "ce_type": "The full name of the message, as `sampan.orders.v1.OrderPlaced`.",
        "ce_source": "The owner, as `/sampan/orders`.",
    }
    rows = []
    for name, described in schema["properties"].items():
        text = fixed.get(name) or described.get("description") or f"`{described['const']}`"
        rows.append(f"| `{name}` | {'yes' if name in schema['required'] else ''} | {text} |")
    return "\n".join(rows)


def _facts(topic: Topic) -> str:
    readers = ", ".join(
        f"{reader.service} (`{reader.group}`)" if reader.group else reader.service for reader in topic.readers
    )
    config = topic.spec.config
    settings = ", ".join(f"`{name}={value}`" for name, value in sorted(config.items()))
    return "\n".join(
        (
            f"- Owner, the only writer: {topic.owner} (`ce_source` is `{topic.source}`)",
            f"- Key: `{topic.key}`",
            f"- Kept: {topic.kept}",
            f"- Partitions: {topic.spec.partitions} by default (`TOPIC_PARTITIONS`), never changed",
            f"- Read by: {readers}",
            f"- Settings: {settings}",
        )
    )


def _event(kind: Kind) -> str:
    return f"### {kind.name}\n\n{kind.comment}\n\n`{kind.full_name}` in `{relative(kind)}`\n\n{_fields(kind)}"


def _type(kind: Kind) -> str:
    return f"### {kind.full_name}\n\n{kind.comment}\n\n{_fields(kind)}"


def _fields(kind: Kind) -> str:
    if all(not field.kind for field in kind.fields):
        return _table("value", ((field.name, str(field.number), field.comment) for field in kind.fields))
    return _table(
        "field",
        ((field.name, str(field.number), f"`{field.kind}`", field.comment) for field in kind.fields),
        "type",
    )


def _table(first: str, rows: Iterable[tuple[str, ...]], *further: str) -> str:
    columns = (first, "number", *further, "meaning")
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *(
            f"| `{name}` | " + " | ".join(part.replace("|", "\\|") for part in rest) + " |"
            for name, *rest in rows
        ),
    ]
    return "\n".join(lines)
