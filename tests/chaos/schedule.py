"""Which fault happens when, where and for how long: drawn from a seed, so that a run can be repeated.

Pure: knows nothing of processes or clocks. Times are seconds since the beginning of the safety phase.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

OVERLAPS_MAX = 2
OVERLAP_SHARE = 0.4
OVERLAP_GAP_S = (0.0, 3.0)
CALM_S = (4.0, 9.0)
"""After a fault that stands alone, so that its healing can be seen."""
DURATION_AT_ONCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault as far as planning goes."""

    name: str
    targets: tuple[str, ...]
    duration_s: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Step:
    """One injection of the plan; `seed` feeds the fault's own choices."""

    at_s: float
    fault: str
    target: str
    duration_s: float
    seed: int

    @property
    def end_s(self) -> float:
        """When it is healed."""
        return self.at_s + self.duration_s

    def __str__(self) -> str:
        return f"{self.at_s:7.1f} s  {self.fault:<28} {self.target:<28} {self.duration_s:5.1f} s"


def plan(
    kinds: Sequence[Kind], *, seed: int, length_s: float, overlaps_max: int = OVERLAPS_MAX
) -> list[Step]:
    """The steps in the order of their times, all healed by `length_s`.

    Rounds over all kinds in random order, so that every kind comes about equally often, and at least once if the
    time is long enough; at most `overlaps_max` at a time and never two on one target.
    """
    rng = random.Random(seed)
    steps: list[Step] = []
    deck: list[Kind] = []
    now_s = 0.0
    usable = [kind for kind in kinds if kind.targets]
    while usable:
        if not deck:
            deck = rng.sample(usable, len(usable))
        kind = deck.pop()
        target = rng.choice(kind.targets)
        duration_s = round(rng.uniform(*kind.duration_s), 1)
        now_s = _free_at(steps, now_s, target, overlaps_max)
        if now_s + duration_s > length_s:
            break
        steps.append(Step(now_s, kind.name, target, duration_s, rng.getrandbits(32)))
        if rng.random() < OVERLAP_SHARE:
            now_s += rng.uniform(*OVERLAP_GAP_S)
        else:
            now_s = max(map(_busy_until_s, steps)) + rng.uniform(*CALM_S)
    return steps


def _free_at(steps: Sequence[Step], now_s: float, target: str, overlaps_max: int) -> float:
    """The earliest time from now at which one more fault on that target is allowed."""
    while True:
        running = [step for step in steps if _busy_until_s(step) > now_s]
        if len(running) < overlaps_max and all(step.target != target for step in running):
            return now_s
        now_s = min(map(_busy_until_s, running))


def _busy_until_s(step: Step) -> float:
    """What happens at once still takes its time to be recovered from."""
    return step.at_s + max(step.duration_s, DURATION_AT_ONCE_S)
