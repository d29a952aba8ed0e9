"""What the simulated kernel tells of a process besides its pages, and of who asks: rights, threads, policies."""

from __future__ import annotations

from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.process import Caller, SimProcess
from numamig.model.finding import Finding, Severity
from numamig.model.process import Process, ProcessFacts, RegionPolicy

__all__ = ["NO_HEAT", "diagnose", "missing", "policies", "process_facts", "seen"]

_ABILITIES = (
    ("move_shared", "sys_nice", "no CAP_SYS_NICE: pages that other processes map stay"),
    ("move_others", "sys_ptrace", "no CAP_SYS_PTRACE: only processes of the same user"),
    ("see_pfn", "sys_admin", "no CAP_SYS_ADMIN: placement is asked page by page"),
)
"""What a right gives, the right as a scenario's ``caller`` has it, and what it means not to have it."""
NO_HEAT = "no CAP_SYS_ADMIN: which pages are in use is not told"
_HEAT = "which pages are in use is told by how often the workloads of a process touch them"


def seen(machine: Machine, process: SimProcess) -> Process:
    """A process as tools see it."""
    return Process(
        pid=process.pid,
        start_time=process.start_time,
        name=process.name,
        user=process.user,
        cmdline=process.cmdline,
        resident_bytes=process.resident_pages * machine.page_bytes,
        threads=process.threads,
        cpu_nodes=process.cpu_nodes,
        kernel_thread=process.kernel_thread,
        zombie=process.zombie,
        yours=process.user == machine.caller.user,
    )


def process_facts(machine: Machine, process: SimProcess) -> ProcessFacts:
    """As ``TellsProcessFacts``."""
    may = machine.may_look_at(process) and not process.kernel_thread and not process.zombie
    allowed, nodes = process.mems_allowed, process.cpu_nodes
    return ProcessFacts(
        process=seen(machine, process),
        # Which thread runs where is not simulated: they are spread evenly.
        threads_by_node={n: len(range(i, process.threads, len(nodes))) for i, n in enumerate(nodes)},
        mems_allowed=None if allowed is None else tuple(sorted(allowed)),
        cgroup="/",
        may_look=may,
        may_move=may,
        may_move_shared=may and machine.caller.sys_nice,
        obstacle=_obstacle(machine, process, may=may),
    )


def _obstacle(machine: Machine, process: SimProcess, *, may: bool) -> str:
    """What stands in the way of moving all of a process, and the remedy; "" where nothing does."""
    if process.kernel_thread or process.zombie:
        return "it has no memory of its own"
    lacking = "" if may and machine.caller.sys_nice else "CAP_SYS_NICE" if may else "CAP_SYS_PTRACE"
    return f"the scenario's caller lacks {lacking}: give it with `caller:`" if lacking else ""


def policies(process: SimProcess) -> list[RegionPolicy]:
    """As ``TellsPolicies``. move_pages(2) does not heed them."""
    return [RegionPolicy(region.start, region.policy) for region in process.regions]


def missing(caller: Caller) -> dict[str, str]:
    """Abilities that a caller has not, and why: for ``Capabilities``."""
    lacking = {ability: why for ability, right, why in _ABILITIES if not getattr(caller, right)}
    return lacking if caller.sys_admin else lacking | {"heat": NO_HEAT}


def diagnose(machine: Machine) -> list[Finding]:
    """What the scenario takes away from its caller, and how it gives it back."""
    found = [Finding("machine", Severity.OK, f"simulated: {machine.title}, kernel {machine.kernel.name}")]
    for ability, right, why in _ABILITIES:
        if not getattr(machine.caller, right):
            remedy = f"in the scenario: `caller: {{{right}: true}}`"
            found.append(Finding(ability, Severity.WARNING, why, remedy))
    return [*found, Finding("heat", Severity.OK, _HEAT if machine.caller.sys_admin else NO_HEAT)]
