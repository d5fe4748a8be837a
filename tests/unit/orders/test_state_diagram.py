"""The state diagram of docs/architecture.md shows the moves of the table: all of them and no other."""

import re
from collections import defaultdict
from pathlib import Path

from services.orders.domain.states import TRANSITIONS, Effect, OrderState

PAGE = Path(__file__).resolve().parents[3] / "docs" / "architecture.md"
INITIAL = "[*]"

_diagram = re.compile(r"```mermaid\nstateDiagram-v2\n(.*?)```", re.DOTALL)
_edge = re.compile(r"^\s*(\[\*\]|[A-Z_]+) --> (\[\*\]|[A-Z_]+): (.+)$", re.MULTILINE)


def edges() -> list[tuple[str, str, str]]:
    """(from, to, label) of every line of the diagram."""
    (body,) = _diagram.findall(PAGE.read_text(encoding="utf-8"))
    found: list[tuple[str, str, str]] = _edge.findall(body)
    assert len(found) == len(body.strip().splitlines()), "a line of the diagram is no edge"
    return found


def causes_by_move() -> dict[tuple[str, str], set[str]]:
    """What brings each move about, by the table."""
    causes = defaultdict(set)
    for (state, trigger), decision in TRANSITIONS.items():
        if decision is not None and decision.effect is Effect.MOVE:
            causes[str(state), str(decision.to_state)].add(trigger.cause)
    return causes


def test_the_edges_are_the_moves() -> None:
    drawn = [(start, end) for start, end, _ in edges()]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(INITIAL, OrderState.PENDING), *causes_by_move()}


def test_the_labels_name_the_causes() -> None:
    every_cause = {trigger.cause for _, trigger in TRANSITIONS}
    labels = {(start, end): label for start, end, label in edges() if start != INITIAL}
    for move, causes in causes_by_move().items():
        assert set(re.findall(r"\w+", labels[move])) & every_cause == causes, move
