"""The command line: every fault is one clear line and exit code 2, before anything is sent."""

import json
from pathlib import Path

import pytest

from deploy.replay.__main__ import EXIT_COULD_NOT_RUN, main
from deploy.replay.retail import COLUMNS
from deploy.replay.settings import SettingsError, parse, target_of


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FILE", "RUN", "SAMPAN_URL", "SAMPAN_API_KEY", "GATEWAY_API_KEYS_FILE", "GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAMPAN_LOCAL_DIR", str(tmp_path))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPAN_API_KEY", "operator-key-of-a-test")


def says(capsys: pytest.CaptureFixture[str], text: str) -> bool:
    lines = capsys.readouterr().err.strip().splitlines()
    return len(lines) == 1 and text in lines[0]


@pytest.mark.usefixtures("keys")
def test_no_file_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EXIT_COULD_NOT_RUN
    assert says(capsys, "make replay FILE=")


@pytest.mark.usefixtures("keys")
def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["/nowhere/sales.csv"]) == EXIT_COULD_NOT_RUN
    assert says(capsys, "there is no file /nowhere/sales.csv")


def test_without_a_stack_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sales.csv"]) == EXIT_COULD_NOT_RUN
    assert says(capsys, "make up")


def test_a_stack_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAMPAN_API_KEY", "operator-key-of-a-test")
    monkeypatch.setenv("SAMPAN_URL", "http://127.0.0.1:9")
    file = tmp_path / "sales.csv"
    file.write_text(",".join(COLUMNS) + "\n536365,1,A,1,2010-12-01,1.00,,France\n", "utf-8")
    assert main([str(file), "--patience", "0.1", "--run", "r"]) == EXIT_COULD_NOT_RUN
    err = capsys.readouterr().err
    assert "connection refused" in err
    assert "RUN=r" in err


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("run", ["Run", "a_b", "-a", "a" * 17, "a b"])
def test_a_run_must_fit_into_every_name(run: str) -> None:
    with pytest.raises(SettingsError, match="1 to 16"):
        parse(["sales.csv", f"--run={run}"])


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("orders", ["0", "-1", "many"])
def test_a_number_of_orders_must_be_one(orders: str) -> None:
    with pytest.raises(SystemExit):
        parse(["sales.csv", f"--orders={orders}"])


def test_the_operator_key_of_the_local_stack_is_used(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    entries = [
        {"key": "s", "tenant_id": "t", "role": "storefront"},
        {"key": "o", "tenant_id": "t", "role": "operator"},
    ]
    file.write_text(json.dumps(entries), "utf-8")
    target = target_of({"GATEWAY_API_KEYS_FILE": str(file), "GATEWAY_PORT": "18080"})
    assert (target.base_url, target.api_key) == ("http://127.0.0.1:18080", "o")
