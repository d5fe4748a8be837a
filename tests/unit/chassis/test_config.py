"""Settings are read from variables and files, and refused with every fault at once."""

from pathlib import Path

import pytest
from pydantic import Field, Json
from pydantic_settings import SettingsConfigDict

from services.chassis import config
from services.chassis.config import Names, Port, ServiceSettings


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

    grpc_port: Port = Field(default=50099, description="Port of the gRPC server.")
    dsn: str = Field(description="PostgreSQL, as a URL.", repr=False)
    regions: Names = Field(default=("eu", "us"), description="Regions served.")
    limits: Json[dict[str, int]] | None = Field(default=None, description="Limits by name.")


@pytest.fixture(autouse=True)
def only_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in config.variables(DemoSettings):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(f"{variable}_FILE", raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("DEMO_DSN", "postgresql://demo")


def test_prefixed_and_shared_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_GRPC_PORT", "1234")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("DEMO_REGIONS", " eu, cn ,")
    monkeypatch.setenv("DEMO_LIMITS", '{"lines": 3}')
    settings = config.load(DemoSettings)
    assert (settings.grpc_port, settings.kafka_bootstrap) == (1234, "broker:9092")
    assert settings.regions == ("eu", "cn")
    assert settings.limits == {"lines": 3}
    assert settings.service_name() == "demo"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "")
    assert config.load(DemoSettings).log_level == "info"


def test_shared_variables_have_no_prefixed_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_LOG_LEVEL", "debug")
    assert config.load(DemoSettings).log_level == "info"


def test_arguments_win_and_are_given_by_field_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")
    assert DemoSettings(log_level="debug").log_level == "debug"


def test_every_fault_is_listed_by_variable_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEMO_DSN")
    monkeypatch.setenv("DEMO_GRPC_PORT", "99999")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("TRACE_SAMPLE_RATIO", "s3cret")
    monkeypatch.setenv("DEMO_LIMITS", "{not json")
    monkeypatch.setenv("DEMO_HOST_FILE", "/does/not/exist")
    with pytest.raises(SystemExit) as stop:
        config.load(DemoSettings)
    assert stop.value.code == config.EXIT_CONFIGURATION
    report = capsys.readouterr().err
    assert "demo: the configuration has 6 faults" in report
    for variable in (
        "DEMO_DSN",
        "DEMO_GRPC_PORT",
        "LOG_LEVEL",
        "TRACE_SAMPLE_RATIO",
        "DEMO_LIMITS",
        "DEMO_HOST",
    ):
        assert f"  {variable}: " in report
    assert "DEMO_DSN: is required: PostgreSQL" in report
    assert "No such file" in report
    assert "s3cret" not in report, "values may be secrets"


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEMO_DSN")
    file = tmp_path / "dsn"
    file.write_text("postgresql://from-file\n")
    monkeypatch.setenv("DEMO_DSN_FILE", str(file))
    assert config.load(DemoSettings).dsn == "postgresql://from-file"


@pytest.mark.parametrize("name", ["DEMO_DSN", "demo_dsn"])
def test_a_secret_may_stand_in_the_secrets_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.delenv("DEMO_DSN")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / name).write_text("postgresql://mounted")
    assert config.load(DemoSettings).dsn == "postgresql://mounted"


def test_a_value_given_twice_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMO_DSN_FILE", str(tmp_path / "dsn"))
    with pytest.raises(SystemExit):
        config.load(DemoSettings)
    assert "DEMO_DSN: is set twice" in capsys.readouterr().err


def test_secrets_are_never_shown() -> None:
    settings = config.load(DemoSettings)
    assert config.current_values(settings)["DEMO_DSN"] == "(secret)"
    assert "postgresql" not in repr(settings)


def test_the_table_documents_every_variable() -> None:
    table = config.markdown_table(DemoSettings)
    for variable in config.variables(DemoSettings):
        assert table.count(f"| `{variable}` |") == 1
    assert "| `DEMO_DSN` | required |  | PostgreSQL, as a URL. Secret. |" in table
    assert "| `DEMO_REGIONS` | `eu,us` |" in table
    assert "at least 0, at most 65535" in table


@pytest.mark.parametrize("points", ["a.before_commit:often", "a.before_commit:0", ":3"])
def test_a_crash_point_that_could_never_kill_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], points: str
) -> None:
    monkeypatch.setenv("TEST_CONFIGURATION", "true")
    monkeypatch.setenv("CRASH_POINTS", points)
    with pytest.raises(SystemExit):
        config.load(DemoSettings)
    assert f"CRASH_POINTS: {points} is not" in capsys.readouterr().err


def test_crash_points_are_for_tests_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRASH_POINTS", "a.before_commit:3,b.after_commit")
    with pytest.raises(SystemExit) as stop:
        config.load(DemoSettings)
    assert stop.value.code == config.EXIT_CONFIGURATION
    assert "TEST_CONFIGURATION" in capsys.readouterr().err
    monkeypatch.setenv("TEST_CONFIGURATION", "true")
    assert config.load(DemoSettings).crash_points == ("a.before_commit:3", "b.after_commit")
