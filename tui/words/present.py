"""From the model to words: sizes, shares and the command line that an act amounts to."""

from __future__ import annotations

import shlex
from math import ceil

from numamig.migrate.destination import Destination, Interleave, Node, NodeMap
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.plan import Plan
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Mapped, Request, Retry, RetryMode
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.nodeset import format_nodeset
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Region, RegionKind
from numamig.text import plain
from numamig.units import format_bytes, format_count

__all__ = [
    "clock_text",
    "command_line",
    "drain_command",
    "duration_text",
    "estimated_share",
    "kind_label",
    "map_command",
    "outcome_texts",
    "pace_text",
    "region_label",
    "remote_text",
    "resume_command",
    "retry_text",
    "short_size",
    "size_text",
    "sources_of",
    "undo_command",
]

_KINDS = {RegionKind.SHMEM: "shm", RegionKind.HUGETLB: "huge"}


def size_text(count: int, *, estimated: bool = False) -> str:
    """``~24.0G``."""
    return ("~" if estimated else "") + format_bytes(count)


def short_size(count: int) -> str:
    """``64M`` where ``size_text`` says ``64.0M``."""
    return format_bytes(count).replace(".0", "")


def remote_text(remote: int | None, total: int) -> str:
    """Share of bytes that are not at home; ``-`` where there is no home."""
    if remote is None or not total:
        return "-"
    share = 100 * remote / total
    return "<1%" if 0 < share < 1 else ">99%" if 99 < share < 100 else f"{share:.0f}%"


def estimated_share(remote: int | None, total: int, error: float, *, only_ascii: bool = False) -> str:
    """``~42±2%``: a share and half the width of its 95 % interval; ``~42%`` where that is not known.

    :param error: 0 to 1
    """
    if remote is None or not total:
        return "-"
    if not 0 < error < 1:
        return f"~{remote_text(remote, total)}"
    share, half = 100 * remote / total, ceil(100 * error)
    return f"{share:.0f}+-{half}%" if only_ascii else f"~{share:.0f}±{half}%"


def duration_text(duration_ns: float) -> str:
    """``250 us``, ``4.6 ms``, ``19 s``, ``3:05``: short, and plain ASCII."""
    if duration_ns >= 120e9:
        return f"{int(duration_ns // 60e9)}:{int(duration_ns // 1e9) % 60:02d}"
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if duration_ns >= scale:
            value = duration_ns / scale
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{duration_ns:.0f} ns"


def clock_text(now_ns: int) -> str:
    """``t+0:41.2``: virtual time since the machine began."""
    tenths = now_ns // 100_000_000
    return f"t+{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def pace_text(speed: float | None, times: str = "×") -> str:
    """`` ×10``, `` max``: behind virtual time, where that does not pass as it is."""
    return " max" if speed is None else "" if speed == 1 else f" {times}{speed:g}"


def kind_label(region: Region) -> str:
    """``heap``, ``shm``: where there is no room for the path."""
    return _KINDS.get(region.kind, region.kind.value)


def region_label(region: Region, *, only_ascii: bool = False) -> str:
    """``heap``, ``anon``, ``shm PostgreSQL.5432``, ``file postgres``: the kind, and the last part of the path."""
    kind = kind_label(region)
    tail = region.path.rstrip("/").rpartition("/")[2]
    if not tail or tail.strip("[]") == kind:
        return kind
    return f"{kind} {plain(tail, only_ascii=only_ascii)}"


def sources_of(plan: Plan) -> str:
    """Nodes that a plan takes pages from: ``0,2``."""
    request = plan.request
    nodes = request.sources if request.sources is not None else tuple(n for n, b in plan.bytes_by_node.items() if b)
    to = request.to
    if isinstance(to, NodeMap):
        nodes = tuple(source for source, _ in to.pairs)
    return format_nodeset(node for node in nodes if node != UNKNOWN_NODE and to != Node(node))


def retry_text(retry: Retry) -> str:
    """``never``, ``3 passes``, ``until 60 s``."""
    if retry.mode is RetryMode.UNTIL:
        return f"until {duration_text(retry.deadline_ns)}"
    return "never" if retry.mode is RetryMode.NEVER else f"{retry.passes} passes"


def _command(name: str, number: int, simulated: bool) -> list[str]:
    return ["numamig", *(["--backend", "simulator"] if simulated else []), name, str(number)]


def undo_command(job: int, *, simulated: bool) -> str:
    """The command that takes a job back."""
    return " ".join(_command("undo", job, simulated))


def resume_command(job: int, *, simulated: bool) -> str:
    """The command that goes on with a job."""
    return " ".join(_command("resume", job, simulated))


def drain_command(node: int, *, shared: bool, simulated: bool) -> str:
    """The command that empties a node."""
    return " ".join([*_command("drain", node, simulated), *(["--shared"] if shared else [])])


def map_command(pid: int, *, simulated: bool) -> str:
    """The command that shows the same."""
    return " ".join(_command("map", pid, simulated))


def _where_to(to: Destination) -> list[str]:
    if isinstance(to, Node):
        return ["--to", str(to.node)]
    if isinstance(to, NodeMap):
        return ["--map", ",".join(f"{source}:{target}" for source, target in to.pairs)]
    if isinstance(to, Interleave):
        if not to.weights:
            return ["--interleave", format_nodeset(to.nodes)]
        return ["--weights", ",".join(f"{node}:{w}" for node, w in zip(to.nodes, to.weights, strict=True))]
    return ["--follow-cpus"]


def command_line(request: Request, *, simulated: bool, page_size: int = 4096) -> str:
    """The command that asks for the same.

    :param page_size: bytes of a base page
    """
    words = _command("move", request.pid, simulated)
    if request.sources is not None:
        words += ["--from", format_nodeset(request.sources)]
    words += _where_to(request.to)
    for start, end in request.within or ():
        words += ["--address", f"{start:#x}-{end:#x}"]
    if request.kinds:
        words += ["--kind", ",".join(sorted(kind.value for kind in request.kinds))]
    for pattern in request.paths:
        words += ["--path", shlex.quote(pattern)]
    if request.huge is not None:
        words.append("--huge" if request.huge else "--no-huge")
    if request.mapped is not Mapped.ANY:
        words += ["--mapped", request.mapped.value]
    if request.heat is not None and request.heat.least > 0:
        words += ["--hot", f"{100 * request.heat.least:g}%"]
    if request.heat is not None and request.heat.most < 1:
        words += ["--cold", f"{100 * request.heat.most:g}%"]
    if request.most_pages is not None:
        words += ["--most", _size_word(request.most_pages * page_size)]
    if request.order.mode is not OrderMode.ADDRESS:
        words += [
            "--order",
            request.order.mode.value,
            *(["--seed", str(request.order.seed)] if request.order.seed else []),
        ]
    if request.shared:
        words.append("--shared")
    if request.batch_pages != DEFAULT_BATCH_PAGES:
        words += ["--pages", str(request.batch_pages)]
    if request.threads != 1:
        words += ["--threads", str(request.threads)]
    if request.budget_ns is not None:
        words += ["--budget", _duration_word(request.budget_ns)]
    if request.rate is not None:
        words += ["--rate", f"{_size_word(request.rate)}/s"]
    if request.most_calls != MOST_CALLS:
        words += ["--calls", "none" if request.most_calls is None else str(request.most_calls)]
    if request.reserve_bytes is not None:
        words += ["--reserve", _size_word(request.reserve_bytes)]
    if request.critical:
        words.append("--critical")
    return " ".join([*words, *_retry_words(request.retry)])


def _retry_words(retry: Retry) -> list[str]:
    if retry.mode is RetryMode.UNTIL:
        usual = retry.deadline_ns == Retry().deadline_ns
        return ["--retry", "until", *([] if usual else ["--deadline", _duration_word(retry.deadline_ns)])]
    if retry.mode is RetryMode.NEVER:
        return ["--retry", "never"]
    return [] if retry.passes == Retry().passes else ["--retry", "bounded", "--passes", str(retry.passes)]


def _size_word(count: int) -> str:
    """Exactly so many bytes, as a command takes them."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % scale == 0:
            return f"{count // scale}{unit}"
    return f"{count}B"


def _duration_word(duration_ns: int) -> str:
    """Exactly so long, as a command takes it."""
    for unit, scale in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if duration_ns % scale == 0:
            return f"{duration_ns // scale}{unit}"
    return f"{duration_ns}ns"


def outcome_texts(job: JobSnapshot) -> list[str]:
    """What became of the pages: ``moved 1.09M``, ``busy 12.2k`` … and what is left, or that it adds up."""
    texts = [
        f"{outcome.words} {format_count(job.outcomes[Outcome(outcome)])}"
        for outcome in Outcome
        if job.outcomes[outcome]
    ]
    if not texts:
        texts = ["moved 0"]
    if job.state.ended:
        texts.append(f"= {job.chosen:,} chosen")
    else:
        texts.append(f"left {format_count(max(0, job.plan.pages - job.chosen))}")
    return texts
