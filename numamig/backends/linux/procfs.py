"""The files of /proc that tell who a process is; parsers are pure, readers take the root of /proc.

Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5); fs/proc/array.c.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from numamig.backends.linux._errors import as_error, gone, reading_process
from numamig.errors import NumamigError
from numamig.model.process import Process

__all__ = [
    "Stat",
    "Status",
    "parse_stat",
    "parse_status",
    "parse_vmstat",
    "process_ids",
    "read_process",
    "read_text",
    "thread_cpus",
    "user_name",
]

_PF_KTHREAD = 0x0020_0000
_MOST_THREADS = 64  # whose CPUs a list of processes looks at: a server's thousands tell no more than these


class Stat(NamedTuple):  # not a dataclass: a thousand of them are made each second, at a fifth of the cost
    """What is used of /proc/PID/stat; numbers in brackets are fields as the man page counts them."""

    pid: int
    name: str
    """comm (2). Any bytes that are no 0: spaces, parentheses, newlines."""
    state: str
    """One letter (3)."""
    parent: int
    """(4)"""
    kernel_thread: bool
    """PF_KTHREAD of the flags (9)."""
    threads: int
    """(20)"""
    start_time: int
    """Clock ticks after boot (22)."""
    cpu: int
    """Where it last ran (39)."""

    @property
    def ended(self) -> bool:
        """Zombie or dead: the memory is gone, only the exit status waits."""
        return self.state in "ZXx"


class Status(NamedTuple):
    """What is used of /proc/PID/status."""

    thread_group: int
    uid: int
    """Real user id."""
    resident_bytes: int
    """VmRSS; 0 for those without memory."""


def parse_stat(text: str) -> Stat:
    """Read /proc/PID/stat. The last ``)`` ends the name: names may hold some, what follows does not."""
    head, _, tail = text.rpartition(")")
    pid, _, name = head.partition("(")
    fields = tail.split()  # fields[0] is field 3
    return Stat(
        pid=int(pid),
        name=name,
        state=fields[0],
        parent=int(fields[1]),
        kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
        threads=int(fields[17]),
        start_time=int(fields[19]),
        cpu=int(fields[36]),
    )


def parse_status(text: str) -> Status:
    """Read /proc/PID/status.

    The name, which a process chooses, comes first, but with its newlines escaped: no line can be forged.
    """

    def number(label: str) -> int:
        at = text.find(label)
        return int(text[at + len(label) : text.find("\n", at + 1)].split(None, 1)[0]) if at >= 0 else 0

    return Status(number("\nTgid:\t"), number("\nUid:\t"), number("\nVmRSS:\t") << 10)


def parse_vmstat(text: str) -> dict[str, int]:
    """Counters of /proc/vmstat by name, in units of each: events or base pages."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


@cache
def user_name(uid: int) -> str:
    """Login name of a user id; the number itself where nobody has it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def read_text(path: str | Path, pid: int) -> str:
    """A small file of process ``pid``; bytes that are no UTF-8 become U+FFFD, so that the text can be printed.

    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not read it
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = b""
            while more := os.read(descriptor, 65536):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise as_error(pid, error) from error
    return data.decode("utf-8", "replace")


def process_ids(proc_root: Path) -> list[int]:
    """Ids of all processes that can be seen, ascending."""
    with os.scandir(proc_root) as entries:
        return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def thread_cpus(proc_root: Path, pid: int, most: int = _MOST_THREADS) -> Iterator[int]:
    """The CPU on which each thread last ran; threads that end meanwhile are left out.

    :param most: look at no more than these; where there are more, at every second, third … of them
    """
    folder = f"{proc_root}/{pid}/task"
    with reading_process(pid), os.scandir(folder) as entries:
        threads = [entry.name for entry in entries]
    for thread in threads[:: -(-len(threads) // most) or 1]:
        try:
            yield parse_stat(read_text(f"{folder}/{thread}/stat", pid)).cpu
        except NumamigError:
            continue  # that thread ended; the process need not have


def read_process(
    proc_root: Path,
    pid: int,
    node_of_cpu: Callable[[int], int | None],
    *,
    all_threads: bool,
    kernel_threads: bool,
    my_uid: int,
) -> Process | None:
    """One process as it is now, in three small reads; None for a kernel thread if those are not wanted.

    :param all_threads: also look where the other threads run, one more read for each
    :raises TargetGone: there is none; a thread's id names none either
    """
    folder = f"{proc_root}/{pid}"
    stat = parse_stat(read_text(f"{folder}/stat", pid))
    if stat.kernel_thread and not kernel_threads:
        return None
    status = parse_status(read_text(f"{folder}/status", pid))
    if status.thread_group != pid:
        raise gone(pid, f"is not a process, but a thread of process {status.thread_group}")
    alive = not (stat.ended or stat.kernel_thread)
    # Its own memory: nothing there for a kernel thread, nothing any more for a zombie.
    command = read_text(f"{folder}/cmdline", pid).rstrip("\0") if alive else ""
    cpus = {stat.cpu} if alive else set()
    if alive and all_threads and stat.threads > 1:
        cpus.update(thread_cpus(proc_root, pid))
    return Process(
        pid=pid,
        start_time=stat.start_time,
        name=stat.name,
        user=user_name(status.uid),
        cmdline=tuple(command.split("\0")) if command else (),
        resident_bytes=status.resident_bytes,
        threads=stat.threads,
        cpu_nodes=tuple(sorted({node for node in map(node_of_cpu, cpus) if node is not None})),
        kernel_thread=stat.kernel_thread,
        zombie=stat.ended,
        yours=status.uid == my_uid,
    )
