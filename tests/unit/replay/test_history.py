"""A client's record while it is being written, and after a crash."""

from pathlib import Path

import pytest

from deploy.replay.history import History, read_history

REQUEST = b'{"lines": []}'


def test_every_entry_can_be_read_while_the_history_is_open(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        for number in range(1, 4):
            history.placed(f"key-{number}", "ok", REQUEST, status=201)
            assert [entry.key for entry in read_history(path)] == [
                f"key-{one}" for one in range(1, number + 1)
            ]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        history.placed("key-1", "unknown", REQUEST)
    with path.open("ab") as file:
        file.write(b'{"op": "place", "cut')
    (entry,) = read_history(path)
    assert (entry.key, entry.outcome, bytes(entry.request)) == ("key-1", "unknown", REQUEST)


def test_a_closed_history_takes_nothing(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    with pytest.raises(RuntimeError, match="not open"):
        history.placed("key-1", "ok", REQUEST)
