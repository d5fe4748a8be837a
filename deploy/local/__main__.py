"""`python -m deploy.local <command>`: the local stack's commands, as the Makefile calls them."""

from __future__ import annotations

import argparse
import os
import sys
import time

from deploy.local import report
from deploy.local.settings import StackError, StackSettings
from deploy.local.stack import Narrator, Stack
from deploy.local.web import PagesBuild


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start what does not run, seed, and follow one order")
    up.add_argument("--servers-only", action="store_true", help="PostgreSQL and Kafka only")
    up.add_argument("--no-demo", action="store_true", help="neither seed nor order")
    commands.add_parser("down", help="stop everything")
    commands.add_parser("status", help="show what runs where; exit 1 unless all is ready")
    logs = commands.add_parser("logs", help="follow the logs")
    logs.add_argument("service", nargs="?", help="one of them only")
    logs.add_argument("--no-follow", action="store_true", help="print the last lines and return")
    commands.add_parser("clean", help="stop everything and delete data, logs and keys")
    commands.add_parser("env", help="print the variables of the services as shell exports")
    chosen = parser.parse_args()
    try:
        return run(chosen, Stack(StackSettings.from_environment(os.environ), say=Narrator()))
    except StackError as fault:
        for line in str(fault).splitlines():
            print(f"sampan: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(chosen: argparse.Namespace, stack: Stack) -> int:
    """Carry out a parsed command."""
    match chosen.command:
        case "up":
            bring_up(stack, servers_only=chosen.servers_only, demo=not chosen.no_demo)
        case "down":
            stack.down()
        case "status":
            return 0 if report.print_status(stack) else 1
        case "logs":
            report.follow_logs(stack, chosen.service, follow=not chosen.no_follow)
        case "clean":
            stack.remove()
            stack.say(
                "clean", f"data, logs and keys are deleted; downloads stay in {stack.settings.downloads}"
            )
        case "env":
            report.print_environment(stack)
    return 0


def bring_up(stack: Stack, *, servers_only: bool, demo: bool) -> None:
    """Start the stack; then seed it and follow the demonstration order."""
    started = time.monotonic()
    stack.check()
    if servers_only:
        stack.start_servers()
    else:
        pages = PagesBuild()
        try:
            stack.start_servers()
            stack.start_services()
            if demo:
                from deploy.local.demo import demonstrate

                demonstrate(stack)
            pages.finish(lambda text: stack.say("web", text))
        finally:
            pages.stop()
        report.print_addresses(stack)
    stack.say("stack", f"up in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
