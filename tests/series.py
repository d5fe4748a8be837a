"""How many time series a service may have at most: asked of the service's own modules in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from deploy.local.settings import ROOT

_ASK = """
import importlib, json
importlib.import_module("services.{service}.__main__")
from services.chassis import metrics
print(json.dumps(sum(metrics.series_max().values())))
"""


def series_max(service: str) -> int:
    """The bound of one process, with everything imported that it serves with."""
    asked = subprocess.run(
        [sys.executable, "-c", _ASK.format(service=service)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen")))},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(json.loads(asked.stdout))
