"""One run: warm-up, safety, liveness, verification.

Safety: faults by the plan while load runs and what must always be true is checked again and again. Liveness:
no more faults, no more load; everything has to come to rest within a bound. Verification: every invariant
against the databases, the topics and the record of what the clients were told.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.audit.checks import run as run_check
from deploy.audit.sql_checks import sql_checks
from tests.chaos import operators, resources, schedule, tasks
from tests.chaos.client import Client
from tests.chaos.cluster import Cluster
from tests.chaos.fault import Fault
from tests.chaos.history import History
from tests.chaos.load import Counts, Load
from tests.chaos.outcome import CHECKS_PERIOD_S, Healing, Outcome
from tests.chaos.shop import Shop
from tests.chaos.verify import in_time_checks, verify
from tests.chaos.watch import Watch

WARM_UP_S = 8.0
CONVERGE_S_MAX = 10.0
"""The promise: at rest so soon after the last fault, once all processes run."""
CONVERGE_GIVEN_UP_S = 60.0
READY_S_MAX = 60.0
WELL_S_MAX = 20.0
"""So soon after a fault that stood alone all has to be well; so long the next one waits for that."""
HEAL_S_MAX = 90.0
"""So long the end of a fault may take, a restart of a server included."""
POLL_S = 0.25
POSITIONS_PERIOD_S = 1.0
LATE_S_MAX = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is asked for."""

    folder: Path
    seed: int
    minutes: float
    rate_per_s: float = 60.0
    converge_s_max: float = CONVERGE_S_MAX

    @property
    def well_s_max(self) -> float:
        """How long healing may take: who is generous with the one bound is with the other."""
        return max(WELL_S_MAX, self.converge_s_max)


class Engine:
    """One run over one cluster."""

    def __init__(self, settings: RunSettings, faults: Sequence[Fault], *, say: Say) -> None:
        self.settings = settings
        self.outcome = Outcome(settings.seed, settings.minutes, settings.converge_s_max)
        self.cluster = Cluster(settings.folder)
        self.history = History(settings.folder / "history")
        self._say = say
        self._faults: dict[str, Fault] = {}
        for fault in faults:
            if (reason := fault.available()) is not None:
                self.outcome.skipped[fault.name] = reason
            else:
                self._faults[fault.name] = fault
        self.load_counts = Counts()
        self._watch = Watch(self.cluster)
        self._active = 0
        self._healed = asyncio.Event()
        self._healed.set()

    async def run(self) -> Outcome:
        """The whole run; the cluster is stopped at its end, logs and history stay."""
        started = time.monotonic()
        for fault in self._faults.values():
            fault.prepare(self.cluster)
        with self.history:
            self.cluster.history = self.history
            try:
                self._say("starting the cluster")
                await self.cluster.start()
                await self._phases()
            finally:
                await self._watch.close()
                await self.cluster.remove(keep_logs=True)
        self.outcome.load_average = os.getloadavg()[1]
        self.outcome.duration_s = time.monotonic() - started
        return self.outcome

    async def _phases(self) -> None:
        seed = self.settings.seed
        self.cluster.shop = Shop.of(seed)
        async with Client(
            self.cluster.gateway_urls, self.cluster.api_keys, self.history, seed=seed
        ) as client:
            self.cluster.client = client
            load = Load(client, self.cluster.shop, random.Random(seed), self.settings.rate_per_s)
            self.load_counts = load.counts
            self._say("warm-up")
            await load.open_shop()
            stopping = asyncio.Event()
            background = [
                asyncio.create_task(load.run(stopping)),
                asyncio.create_task(self._sample_positions()),
                asyncio.create_task(self._check_always()),
            ]
            try:
                await asyncio.sleep(WARM_UP_S)
                self.outcome.usage_first = await resources.measure(self.cluster.services)
                await self._safety()
                stopping.set()
                await self._liveness()
                await background[0]
            finally:
                await tasks.end(background)
            for task in background:
                _raise_of(task)
            await self._settle(client)
            self.outcome.violations += client.violations
        self.outcome.usage_last = await resources.measure(self.cluster.services)
        self._say("verification")
        in_time = await in_time_checks(self.cluster, late_s_max=LATE_S_MAX)
        async with self._halted():
            self.outcome.verdict = await verify(
                self.cluster,
                in_time=in_time,
                positions=self._watch.positions,
                usages=resources.judge(
                    self.cluster.replica_names, self.outcome.usage_first, self.outcome.usage_last
                ),
            )
        self._say("operators clean up")
        self.outcome.violations += await operators.clean_up(self.cluster)
        self.outcome.violations += [
            f"{end.name} ended unasked at {end.at_s:.0f} s: {end.last_words}"
            for end in self.cluster.unasked_ends
            if not end.is_legal
        ]

    @asynccontextmanager
    async def _halted(self) -> AsyncIterator[None]:
        """All replicas are halted at a moment at which nothing is under way.

        Deadlines go on passing at rest: an order that expires between two looks of the audit would seem lost.
        """
        until = time.monotonic() + CONVERGE_GIVEN_UP_S
        try:
            while True:
                for replica in self.cluster.services:
                    replica.pause()
                if not (left := await self._watch.work_left()):
                    break
                if time.monotonic() > until:
                    self.outcome.violations.append(f"it did not come to rest again: {', '.join(left)}")
                    break
                for replica in self.cluster.services:
                    replica.resume()
                await asyncio.sleep(POLL_S)
            yield
        finally:
            for replica in self.cluster.services:
                replica.resume()

    # --- Safety

    async def _safety(self) -> None:
        """The plan, step by step. What it places alone waits until all is well, and what follows is then later."""
        length_s = self.settings.minutes * 60
        kinds = [
            schedule.Kind(fault.name, tuple(fault.targets(self.cluster)), fault.duration_s)
            for fault in self._faults.values()
        ]
        self.outcome.steps = schedule.plan(kinds, seed=self.settings.seed, length_s=length_s)
        self._say(f"safety: {len(self.outcome.steps)} faults in {length_s:.0f} s")
        started = self.history.now_s
        until = started + length_s
        healing = asyncio.create_task(self._watch_healing())
        steps: dict[asyncio.Task[None], schedule.Step] = {}
        try:
            for step in self.outcome.steps:
                await asyncio.sleep(max(0.0, started + step.at_s - self.history.now_s))
                waiting_since = self.history.now_s
                await self._until_well()
                started += self.history.now_s - waiting_since
                if self.history.now_s + step.duration_s > until:
                    break
                steps[asyncio.create_task(self._inject(step))] = step
            if steps:
                _, unhealed = await asyncio.wait(steps, timeout=HEAL_S_MAX)
                await tasks.end(unhealed)
            for task, step in steps.items():
                if task.cancelled():
                    self.outcome.failed_injections.append(f"{step.fault} on {step.target}: it did not end")
                elif (error := task.exception()) is not None:
                    # A fault that could not be injected proves nothing, so the run must not pass.
                    self.outcome.failed_injections.append(f"{step.fault} on {step.target}: {error!r}")
            await self._until_well()
        finally:
            await tasks.end([healing])
            self.outcome.came_to_nothing = self.cluster.came_to_nothing
            self.outcome.crash_hits = self.cluster.crash_hits
        _raise_of(healing)

    async def _until_well(self) -> None:
        """Waits, within a bound, unless another fault is just being injected: then it is to overlap."""
        if not self._active:
            try:
                await asyncio.wait_for(self._healed.wait(), self.settings.well_s_max)
            except TimeoutError:
                for healing in self._open_healings():
                    healing.is_late = True
                    self.history.note("not well in time", fault=healing.step.fault)

    def _open_healings(self) -> list[Healing]:
        return [healing for healing in self.outcome.healings if healing.is_open]

    async def _inject(self, step: schedule.Step) -> None:
        """One step of the plan, from injection to healing."""
        fault = self._faults[step.fault]
        self._say(f"{step}")
        self.outcome.injected[step.fault] += 1
        for earlier in self._open_healings():
            earlier.is_open = False
        healing = Healing(step)
        self._healed.clear()
        self._active += 1
        start_s = self.history.now_s
        try:
            async with fault.inject(self.cluster, step.target, random.Random(step.seed)):
                await asyncio.sleep(step.duration_s)
        finally:
            self._active -= 1
            healing.end_s = self.history.now_s
            healing.is_open = not self._active
            self.outcome.healings.append(healing)
            self.history.fault(step.fault, step.target, start_s=start_s, end_s=healing.end_s)

    async def _watch_healing(self) -> None:
        """Notes when all was well after the last of the faults that overlapped; others have no time of their own."""
        while True:
            await asyncio.sleep(POLL_S)
            open_ = self._open_healings()
            if not open_ or self._active or not await self._watch.is_well() or self._active:
                continue
            for healing in open_:
                healing.is_open = False
                healing.healed_s = self.history.now_s - healing.end_s
                self.history.note("healed", fault=healing.step.fault, seconds=healing.healed_s)
            self._healed.set()

    async def _sample_positions(self) -> None:
        while True:
            await self._watch.sample_positions()
            await asyncio.sleep(POSITIONS_PERIOD_S)

    async def _check_always(self) -> None:
        """What is true in every snapshot of a database, whatever happens; a server that is down proves nothing."""
        checks = [
            check for check in sql_checks(self.cluster.dsns, late_s_max=0.0) if not _may_be_late(check.id)
        ]
        for check in checks:
            self.outcome.always[check.id] = 0
        while True:
            await asyncio.sleep(CHECKS_PERIOD_S)
            for check in checks:
                result = await run_check(check)
                if result.status == "ok":
                    self.outcome.always[check.id] += 1
                elif result.status == "failed":
                    self.outcome.violations += [
                        f"during faults, {check.id}: {offender}" for offender in result.offenders
                    ]

    # --- Liveness

    async def _liveness(self) -> None:
        self._say("liveness: no more faults, no more load")
        await self.cluster.mend_all()
        started = time.monotonic()
        for member in self.cluster.processes.values():
            if not await member.wait_ready(s_max=READY_S_MAX):
                self.outcome.violations.append(
                    f"{member.name} was not ready {READY_S_MAX:.0f} s after its fault"
                )
        self.outcome.ready_s = time.monotonic() - started
        self.outcome.converge_s = await self._rest()

    async def _rest(self) -> float | None:
        """Seconds until two looks in a row find nothing under way."""
        started = time.monotonic()
        found_at = None
        while time.monotonic() - started < CONVERGE_GIVEN_UP_S:
            self.outcome.left = await self._watch.work_left()
            if self.outcome.left:
                found_at = None
            elif found_at is not None:
                return found_at - started
            else:
                found_at = time.monotonic()
            await asyncio.sleep(POLL_S)
        return None

    async def _settle(self, client: Client) -> None:
        """Every unknown outcome becomes known by asking again with the same key."""
        self._say(f"settling {len(client.unsettled)} unknown outcomes")
        self.outcome.unknown_for_good = await client.settle()
        if self.outcome.unknown_for_good:
            self.outcome.violations += [
                f"{request.op} {request.path} under key {request.key} stays unknown although all is well"
                for request in client.unsettled
            ]
        with suppress(TimeoutError):
            await self._rest()


def _raise_of(task: "asyncio.Task[None]") -> None:
    """A watcher that died has not watched: its run proves nothing."""
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _may_be_late(check_id: str) -> bool:
    """Invariant 9 holds after healing only."""
    return check_id.startswith("9 ")
