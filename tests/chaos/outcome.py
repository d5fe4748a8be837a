"""What a run has come to, and when it counts as one in which everything holds."""

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.resources import Usage
from tests.chaos.schedule import Step
from tests.chaos.verify import Verdict

CHECKS_PERIOD_S = 8.0
"""How often what must always be true is looked at."""


@dataclass(slots=True)
class Healing:
    """How long it took after an injection until all was well."""

    step: Step
    end_s: float = 0.0
    healed_s: float | None = None
    """None where the next fault came before."""
    is_open: bool = True
    """Still to be seen."""
    is_late: bool = False
    """It stood alone, and all was not well within the bound."""


@dataclass(slots=True)
class Outcome:
    """Everything that a report tells."""

    seed: int
    minutes: float
    converge_s_max: float
    steps: list[Step] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    came_to_nothing: Counter[str] = field(default_factory=Counter)
    """Of the injected: those that found nothing to do anything to, and so prove nothing."""
    crash_hits: Counter[str] = field(default_factory=Counter)
    """How often a process died at each crash point."""
    skipped: dict[str, str] = field(default_factory=dict)
    """By kind, with the reason."""
    failed_injections: list[str] = field(default_factory=list)
    healings: list[Healing] = field(default_factory=list)
    ready_s: float = 0.0
    """From the last fault until all processes were ready."""
    converge_s: float | None = None
    """From then to rest; None when it never came."""
    left: list[str] = field(default_factory=list)
    always: Counter[str] = field(default_factory=Counter)
    """How often each always-true check could be made."""
    violations: list[str] = field(default_factory=list)
    unknown_for_good: int = 0
    verdict: Verdict | None = None
    usage_first: dict[str, Usage] = field(default_factory=dict)
    usage_last: dict[str, Usage] = field(default_factory=dict)
    load_average: float = 0.0
    """Of the machine, over the last five minutes: above its cores, others were at work as well."""
    duration_s: float = 0.0

    @property
    def effective(self) -> Counter[str]:
        """The faults that did something."""
        return Counter({name: count - self.came_to_nothing[name] for name, count in self.injected.items()})

    @property
    def unlooked(self) -> list[str]:
        """Always-true checks that were never made in a run long enough for them."""
        if self.minutes * 60 <= 2 * CHECKS_PERIOD_S:
            return []
        return [check for check, count in self.always.items() if not count]

    @property
    def late_healings(self) -> list[Healing]:
        """Faults that stood alone and after which all was not well in time."""
        return [healing for healing in self.healings if healing.is_late]

    @property
    def longest_healing(self) -> Healing | None:
        """The one that took longest."""
        done = [healing for healing in self.healings if healing.healed_s is not None]
        return max(done, key=lambda healing: healing.healed_s or 0.0, default=None)

    @property
    def holds(self) -> bool:
        """Nothing is wrong at all, and it was looked for while something was done to the system."""
        return (
            any(count > 0 for count in self.effective.values())
            and self.always.total() > 0
            and not self.unlooked
            and not self.late_healings
            and not self.violations
            and not self.failed_injections
            and self.converge_s is not None
            and self.converge_s <= self.converge_s_max
            and self.verdict is not None
            and self.verdict.holds
        )
