"""What may be done to real processes, found under less rights than ours: nobody's, a user namespace's, a filter's."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.syscalls import syscall_number
from numamig.errors import RefusedError
from numamig.migrate.preflight import demand_process
from tests.unit.linux.jail import (
    enter_user_namespace,
    forbid,
    let_be_looked_into,
    need_filters,
    need_root,
    need_user_namespaces,
    run_in_child,
    turn_into_nobody,
)


@contextmanager
def running(*command: str) -> Iterator[int]:
    """The pid of a program that has been loaded, and waits."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        yield child.pid
        child.kill()


def abilities(pid: int) -> list[object]:
    facts = LinuxBackend().process_facts(pid)
    return [facts.may_look, facts.may_move, facts.may_move_shared, facts.obstacle]


def test_nobody_may_move_his_own_but_not_shared_pages() -> None:
    need_root()

    def look() -> list[object]:
        turn_into_nobody()
        with running("cat") as pid:
            return abilities(pid)

    may_look, may_move, may_move_shared, obstacle = run_in_child(look)
    assert (may_look, may_move, may_move_shared) == (True, True, False)
    assert "CAP_SYS_NICE" in obstacle


def test_nobody_may_do_nothing_with_what_is_roots() -> None:
    need_root()

    def look(pid: int) -> list[object]:
        turn_into_nobody()
        return abilities(pid)

    with running("cat") as pid:
        *may, obstacle = run_in_child(lambda: look(pid))
    assert may == [False, False, False]
    assert obstacle.startswith("it belongs to user root: run with sudo, or with CAP_SYS_PTRACE")


def test_a_process_that_hides_from_its_own_user() -> None:
    need_root()

    def look() -> list[object]:
        turn_into_nobody()
        reader, writer = os.pipe()
        let_be_looked_into(False)
        hidden = os.fork()
        if hidden == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        try:
            return abilities(hidden)
        finally:
            os.close(writer)
            os.waitpid(hidden, 0)

    may_look, may_move, _, obstacle = run_in_child(look)
    assert (may_look, may_move) == (False, False)
    assert "not dumpable" in obstacle


def test_root_of_a_user_namespace_is_nobody_outside() -> None:
    need_root()
    need_user_namespaces()

    def look(pid: int) -> list[object]:
        turn_into_nobody()
        enter_user_namespace()
        return [*abilities(pid), *abilities(os.getpid())]

    with running("cat") as pid:
        found = run_in_child(lambda: look(pid))
    assert found[:3] == [False, False, False]
    assert found[3].startswith("it lives outside of this user namespace")
    assert found[4:7] == [True, True, False]
    assert "CAP_SYS_NICE outside of this user namespace" in found[7]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_real_seccomp_filter_is_told_from_missing_rights(number: int) -> None:
    need_filters()
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("missing: a kernel with move_pages (CONFIG_NUMA)")

    def look() -> list[object]:
        forbid(syscall_number(), number)
        able = LinuxBackend().capabilities
        assert not (able.move_others or able.move_shared)
        assert "forbidden here" in able.missing["move_shared"]
        try:
            demand_process(LinuxBackend(), os.getpid())
        except RefusedError as error:
            return [*abilities(os.getpid()), error.message, error.hint]
        return []

    may_look, *may_move, obstacle, message, hint = run_in_child(look)
    assert may_move == [False, False]
    assert may_look is LinuxBackend().readers.sees_frames  # then nobody needs to be asked
    assert f"a seccomp filter forbids move_pages ({errno.errorcode[number]})" in obstacle
    for remedy in ("seccomp=unconfined", "Kubernetes securityContext.seccompProfile", "SystemCallFilter=move_pages"):
        assert remedy in obstacle
    assert hint == obstacle
    assert "\n" not in message
