"""Stacks of the bench's own: on free ports, in a folder of their own, never with anybody's data."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from deploy.bench.world import Say
from deploy.local.settings import PORT_DEFAULTS, StackError, StackSettings, free_ports
from deploy.local.stack import Stack
from deploy.replay.settings import Target, target_of


def settings_of(names: list[str], purpose: str, extra: Mapping[str, str]) -> list[StackSettings]:
    """Settings of one stack per name; their ports are drawn together, so that no two get the same."""
    base = StackSettings.from_environment(os.environ)
    ports = iter(free_ports(len(PORT_DEFAULTS) * len(names)))
    return [
        StackSettings.on_free_ports(
            base.folder / "bench" / purpose / name,
            downloads=base.downloads,
            kafka_home=base.kafka_home,
            ports=dict(zip(PORT_DEFAULTS, ports, strict=False)),
            extra=dict(extra),
        )
        for name in names
    ]


@contextmanager
def own_stacks(
    names: list[str], purpose: str, say: Say, *, keep: bool = False, extra: Mapping[str, str] | None = None
) -> Iterator[list[Stack]]:
    """Stacks that do not run yet; at the end they are stopped, and removed unless they are to be kept."""
    with ExitStack() as leaving:
        # Asked to end in the middle of a long run, nothing may be left running.
        leaving.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _end))
        stacks = []
        for settings in settings_of(names, purpose, extra or {}):
            if any(settings.pids.glob("*.pid")):
                raise StackError(
                    f"a stack may still run in {settings.folder}: stop it, or remove the folder after a crash"
                )
            stack = Stack(settings, say=_narrator(settings.folder.name, say))
            leaving.callback(_leave, stack, keep)
            stacks.append(stack)
        yield stacks


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _narrator(name: str, say: Say) -> Callable[[str, str], None]:
    return lambda who, text: say(f"{name}: {who}: {text}")


def target(stack: Stack) -> Target:
    """Its API, with an operator's key."""
    settings = stack.settings
    return target_of(
        {"SAMPAN_LOCAL_DIR": str(settings.folder), "GATEWAY_PORT": str(settings.ports["GATEWAY_PORT"])}
    )


def _leave(stack: Stack, keep: bool) -> None:
    if keep:
        stack.down()
        return
    stack.remove()
    shutil.rmtree(stack.settings.folder, ignore_errors=True)
    _remove_empty(stack.settings.folder.parent)


def _remove_empty(folder: Path) -> None:
    """The folders that were made for the stacks, as far as nothing else lies in them."""
    for one in (folder, folder.parent):
        if one.is_dir() and not any(one.iterdir()):
            one.rmdir()
