"""Less rights than the tests have, in a child of their own: nobody's, behind a seccomp filter, in a user namespace."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "enter_user_namespace",
    "forbid",
    "let_be_looked_into",
    "need_filters",
    "need_root",
    "need_user_namespaces",
    "run_in_child",
    "turn_into_nobody",
]

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 4, 22, 38, 2
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Source: include/uapi/linux/audit.h."""

_libc = ctypes.CDLL(None, use_errno=True)


def run_in_child(function: Callable[[], Any]) -> Any:
    """What ``function`` returns when it runs in a forked child: anything that JSON can carry."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            with open(writer, "w") as answer:
                json.dump(function(), answer)
            code = 0
        except BaseException:  # noqa: BLE001 - it must not get into the test runner
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader) as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the child failed: see above"
    return json.loads(told)


def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("missing: root, who alone can turn into somebody else")


def need_filters() -> None:
    if platform.machine() not in AUDIT_ARCH:
        pytest.skip(f"missing: numbers of system calls on {platform.machine()}")
    if "\nSeccomp:\t" not in Path("/proc/self/status").read_text():
        pytest.skip("missing: seccomp filters (CONFIG_SECCOMP_FILTER)")


def turn_into_nobody() -> None:
    """From here on without any right: whoever changes from root to another user loses all capabilities."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    let_be_looked_into(True)  # the change has taken that away, until a program is executed


def let_be_looked_into(wanted: bool) -> None:
    """By its own user, that is; else its files in /proc are root's, as are those of programs with capabilities."""
    _check(_libc.prctl(PR_SET_DUMPABLE, int(wanted), 0, 0, 0))


def forbid(number: int, errno: int, *, unless_null: int | None = None) -> None:
    """From here on the kernel answers ``errno`` to the system call of that number, as in a container.

    :param unless_null: the place of an argument; calls in which it is 0 may pass
    """

    def operation(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    # Offsets into struct seccomp_data: arch, nr, and the lower half of an argument.
    null = [] if unless_null is None else [operation(load, 16 + 8 * unless_null), operation(jump_if_equal, 0, 1, 0)]
    program = b"".join(
        (
            operation(load, 4),
            operation(jump_if_equal, AUDIT_ARCH[platform.machine()], 0, 3 + len(null)),
            operation(load, 0),
            operation(jump_if_equal, number, 0, 1 + len(null)),
            *null,
            operation(answer, SECCOMP_RET_ERRNO | errno),
            operation(answer, SECCOMP_RET_ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0))


def need_user_namespaces() -> None:
    def enter() -> str:
        turn_into_nobody()
        try:
            enter_user_namespace()
        except OSError as error:
            return str(error)
        return ""

    if why := run_in_child(enter):
        pytest.skip(f"missing: user namespaces for everybody ({why})")


def enter_user_namespace() -> None:
    """From here on root with all capabilities, which count only in here: a container without root.

    :raises OSError: that is not allowed here
    """
    user = os.getuid()
    _check(_libc.unshare(CLONE_NEWUSER))
    Path("/proc/self/uid_map").write_text(f"0 {user} 1\n")


def _check(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
