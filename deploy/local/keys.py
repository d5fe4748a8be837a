"""The demonstration's API keys, what the secrets of webhooks are sealed with, and what the sandbox payment provider
signs with: random, made once, readable by their owner only.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from deploy.local.settings import NOTIFICATION_SECRETS_FILE, TENANT_ID, WEBHOOK_KEYS_FILE

ROLES = ("storefront", "operator", "platform")
"""An operator may do everything in its tenant; the platform keeps tenants, and has one of its own."""
PLATFORM_TENANT_ID = "platform"


def ensure_keys(folder: Path, *, file_name: str = "gateway-api-keys.json") -> dict[str, str]:
    """Return the key of each role, making in `folder` whatever is missing: a file of each, the gateway's list of them,
    the key that seals the secrets of webhooks, and the sandbox's secret.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys: dict[str, str] = {}
    for role in ROLES:
        file = folder / role
        if not file.exists():
            _write_private(file, f"sampan_{role}_{secrets.token_urlsafe(24)}\n")
        keys[role] = file.read_text().strip()
    listed = [{"key": keys[role], "tenant_id": _tenant_of(role), "role": role} for role in ROLES]
    _write_private(folder / file_name, json.dumps(listed, indent=2) + "\n")
    if not (folder / WEBHOOK_KEYS_FILE).exists():
        sealing_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write_private(folder / WEBHOOK_KEYS_FILE, f"{sealing_key}\n")
    if not (folder / NOTIFICATION_SECRETS_FILE).exists():
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        _write_private(folder / NOTIFICATION_SECRETS_FILE, json.dumps({"sandbox": [secret]}) + "\n")
    return keys


def _tenant_of(role: str) -> str:
    return PLATFORM_TENANT_ID if role == "platform" else TENANT_ID


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(file)
