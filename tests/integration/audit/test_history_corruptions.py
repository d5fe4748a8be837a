"""The checks of a recorded history find what was acknowledged and is not so; in a truthful one they find nothing."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.audit.history_checks import history_checks
from tests.integration.audit.world import CANCELLED, CONFIRMED, WAITING, build, catches, failed

pytestmark = pytest.mark.postgres


def history_file(folder: Path, *, earlier: Sequence[str] = (), **changes: object) -> Path:
    """A truthful record, then one entry with changes; `earlier`: what was told under its key before."""
    request = {
        "buyer_ref": "buyer",
        "currency_code": "GBP",
        "lines": [{"sku": "S", "quantity": 1}, {"sku": "S", "quantity": 1}],
        "ship_to": {"region_code": "GB"},
        "expected_total": {"currency_code": "GBP", "amount": "5.00"},
    }
    entry = {
        "op": "place",
        "key": "run/1",
        "outcome": "ok",
        "time": 1.0,
        "request": request,
        "status": 201,
        "order_id": CONFIRMED,
        "reply_sha256": hashlib.sha256(b"answer").hexdigest(),
    }
    refused = entry | {
        "key": "run/5",
        "outcome": "refused",
        "status": 409,
        "order_id": "",
        "reason": "409 TOTAL_CHANGED",
    }
    changed = entry | changes
    before = [changed | {"outcome": outcome} for outcome in earlier]
    lines = [json.dumps(one) for one in (entry, entry, refused, *before, changed)]
    path = folder / "history.jsonl"
    path.write_text("\n".join(lines) + '\n{"op": "place", "cut', "utf-8")
    return path


async def test_a_truthful_history_passes(dsns: Mapping[str, str], tmp_path: Path) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    assert await failed(history_checks(history_file(tmp_path), "t", dsns["orders"])) == {}


@catches("6 acknowledged", "7 refused", "8 same answer")
@pytest.mark.parametrize(
    ("changes", "check", "offender"),
    [
        ({"key": "run/7"}, "6 acknowledged", f"run/7: order {CONFIRMED} was acknowledged and is not stored"),
        (
            {"key": "run/2"},
            "6 acknowledged",
            f"run/2: order {CONFIRMED} was acknowledged, {WAITING} is stored",
        ),
        (
            {
                "key": "run/2",
                "order_id": WAITING,
                "request": {
                    "buyer_ref": "buyer",
                    "currency_code": "GBP",
                    "lines": [{"sku": "S", "quantity": 3}],
                    "ship_to": {"region_code": "FR"},
                },
            },
            "6 acknowledged",
            f"run/2: order {WAITING} is stored with another lines, region_code",
        ),
        (
            {"key": "run/4", "outcome": "refused", "reason": "409"},
            "7 refused",
            f"yet order {CANCELLED} is stored",
        ),
        (
            {"key": "run/4", "earlier": ["unknown"], "outcome": "refused", "reason": "409"},
            "7 refused",
            f"was refused (409), yet order {CANCELLED} is stored",
        ),
        ({"reply_sha256": "other"}, "8 same answer", "run/1: 2 different answers"),
    ],
)
async def test_a_history_that_was_betrayed_is_named(
    dsns: Mapping[str, str], tmp_path: Path, changes: dict[str, Any], check: str, offender: str
) -> None:
    await build(dsns["orders"], dsns["warehouse"])
    found = await failed(history_checks(history_file(tmp_path, **changes), "t", dsns["orders"]))
    assert set(found) == {check}
    assert offender in found[check].offenders[0]
