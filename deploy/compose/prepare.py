"""Make the secrets that compose.yaml mounts: passwords, addresses of the databases, API keys. Standard library only.

What is there already stays. A container's user is another than the one who runs this, and Compose mounts the files
as they are: so everybody may read a file, but only the owner may enter their folder.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from deploy.local.keys import ensure_keys
from deploy.local.settings import DATABASES, NOTIFICATION_SECRETS_FILE, ROOT, WEBHOOK_KEYS_FILE

FOLDER = ROOT / ".local" / "compose"
PASSWORDS = ("postgres", "grafana", *DATABASES)


def prepare(folder: Path) -> dict[str, str]:
    """Make what is missing in `folder`; return the API key of each role."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    passwords = {name: _ensure(folder / f"{name}_password", secrets.token_urlsafe(24)) for name in PASSWORDS}
    for service in DATABASES:
        _ensure(
            folder / f"{service}_dsn", f"postgresql://{service}:{passwords[service]}@postgres:5432/{service}"
        )
    keys = ensure_keys(folder / "keys", file_name="gateway-api-keys.json")
    _write(folder / "gateway_api_keys", (folder / "keys" / "gateway-api-keys.json").read_text())
    _write(folder / "webhooks_secret_keys", (folder / "keys" / WEBHOOK_KEYS_FILE).read_text())
    _write(
        folder / "orders_payment_notification_secrets",
        (folder / "keys" / NOTIFICATION_SECRETS_FILE).read_text(),
    )
    return keys


def _ensure(file: Path, text: str) -> str:
    if not file.exists():
        _write(file, text)
    return file.read_text().strip()


def _write(file: Path, text: str) -> None:
    """Write in place where the file exists: a container that has it mounted is to see the new text."""
    if file.exists() and file.read_text() == text:
        return
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)
    file.chmod(0o444)


def main() -> int:
    """Make the secrets of the stack in this checkout, or in the folder that SAMPAN_SECRETS names."""
    folder = Path(os.environ.get("SAMPAN_SECRETS") or FOLDER)
    prepare(folder)
    print(f"secrets: {folder} (API keys: {folder}/keys/storefront, {folder}/keys/operator)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
