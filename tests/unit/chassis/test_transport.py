"""Settings of encrypted connections that do not go together are refused at the start, by the variables' names."""

from pathlib import Path

import pytest

from services.chassis import config
from services.chassis.config import ServiceSettings

KAFKA_LOGIN = {"KAFKA_SASL_USERNAME": "orders", "KAFKA_SASL_PASSWORD": "word"}


@pytest.fixture(autouse=True)
def only_these_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in config.variables(ServiceSettings):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "secrets"))
    (tmp_path / "file.pem").touch()
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> ServiceSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return config.load(ServiceSettings)


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"GRPC_TLS_CERT_FILE": "file.pem"}, "set all three or none"),
        ({"GRPC_TLS_CERT_FILE": "file.pem", "GRPC_TLS_KEY_FILE": "file.pem"}, "set all three or none"),
        ({"GRPC_TLS_CLIENTS": "gateway.example.com"}, "GRPC_TLS_CLIENTS needs GRPC_TLS_CERT_FILE"),
        ({"GRPC_TLS_CA_FILE": "none.pem"}, "none.pem cannot be read"),
        ({"KAFKA_CA_FILE": "file.pem"}, "mean nothing while KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CERT_FILE": "file.pem"},
            "KAFKA_CERT_FILE and KAFKA_KEY_FILE go together",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_SSL needs KAFKA_SASL_USERNAME"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "orders"},
            "SASL_SSL needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"} | KAFKA_LOGIN, "KAFKA_SASL_* mean nothing"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_what_does_not_go_together_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    fault: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        load(monkeypatch, variables)
    assert stop.value.code == config.EXIT_CONFIGURATION
    assert fault in capsys.readouterr().err


def test_the_password_of_the_brokers_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"} | KAFKA_LOGIN)
    shown = config.current_values(settings)
    assert (shown["KAFKA_SASL_USERNAME"], shown["KAFKA_SASL_PASSWORD"]) == ("orders", "(secret)")
    assert "word" not in repr(settings).replace("password", "")


def test_without_any_of_them_everything_is_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {})
    assert settings.grpc_files is None
    assert settings.kafka_security_protocol == "PLAINTEXT"
