"""The committed cffi module, and move_pages(2) as the kernel answers it."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE, UNWRITTEN
from numamig.backends.linux import _ffi_build, syscalls
from numamig.backends.linux.ownpages import OwnPages, private_pages
from numamig.errors import RefusedError

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def own() -> Iterator[OwnPages]:
    with private_pages(8 * PAGE) as pages:
        pages.bytes_[: 4 * PAGE : PAGE] = 1
        yield pages


def addresses(own: OwnPages) -> np.ndarray:
    return own.address + np.arange(8, dtype=np.uint64) * PAGE


def test_committed_module_is_what_the_builder_writes() -> None:
    assert _ffi_build.render() == _ffi_build.TARGET.read_text()


@pytest.mark.parametrize("machine", syscalls.MOVE_PAGES_NUMBERS)
def test_number_of_each_architecture(machine: str) -> None:
    expected = {"x86_64": 279, "ppc64le": 301, "s390x": 310}
    assert syscalls.syscall_number(machine, word_bits=64) == expected.get(machine, 239)


@pytest.mark.parametrize(("machine", "word_bits"), [("mips64", 64), ("x86_64", 32), ("armv7l", 32)])
def test_unknown_architectures_are_refused(machine: str, word_bits: int) -> None:
    with pytest.raises(RefusedError, match=machine) as caught:
        syscalls.syscall_number(machine, word_bits=word_bits)
    assert "aarch64" in str(caught.value.hint)


def test_a_question_tells_nodes_and_what_was_never_touched(own: OwnPages) -> None:
    answer = syscalls.move_pages(os.getpid(), addresses(own), None)
    assert (answer.returned, answer.errno) == (0, 0)
    assert answer.status.dtype == np.int32
    assert (answer.status[:4] >= 0).all()
    # -EFAULT before some kernel between 6.1 and 6.12, -ENOENT from then on.
    assert set(answer.status[4:].tolist()) <= {-errno.EFAULT, -errno.ENOENT}


def test_bad_flags_write_nothing(own: OwnPages) -> None:
    answer = syscalls.move_pages(0, addresses(own), None, 1 << 7)
    assert (answer.returned, answer.errno) == (-1, errno.EINVAL)
    assert (answer.status == UNWRITTEN).all()


def test_no_such_process() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    answer = syscalls.move_pages(ended.pid, np.array([PAGE], np.uint64), None)
    assert (answer.returned, answer.errno, answer.status.tolist()) == (-1, errno.ESRCH, [UNWRITTEN])


def test_a_node_that_is_not_there(own: OwnPages) -> None:
    answer = syscalls.move_pages(0, addresses(own)[:2], np.array([1023, 1023], np.int32), MPOL_MF_MOVE)
    assert (answer.returned, answer.errno) == (-1, errno.ENODEV)
    assert (answer.status == UNWRITTEN).all()


def test_moving_to_where_they_are(own: OwnPages) -> None:
    pages = addresses(own)[:4]
    nodes = syscalls.move_pages(0, pages, None).status
    answer = syscalls.move_pages(0, pages, nodes)
    assert (answer.returned, answer.status.tolist()) == (0, nodes.tolist())


def test_no_pages_at_all() -> None:
    answer = syscalls.move_pages(0, np.empty(0, np.uint64), None)
    assert (answer.returned, answer.errno, len(answer.status)) == (0, 0, 0)


def test_strided_addresses_are_those_that_are_meant(own: OwnPages) -> None:
    every_second = addresses(own)[::2]
    assert not every_second.flags.c_contiguous
    assert (syscalls.move_pages(0, every_second, None).status >= 0).tolist() == [True, True, False, False]


def test_arrays_of_different_length_never_reach_the_kernel(own: OwnPages) -> None:
    with pytest.raises(ValueError, match="8 addresses, but 1 nodes"):
        syscalls.move_pages(0, addresses(own), np.zeros(1, np.int32))


def test_this_machine_is_supported_or_says_so() -> None:
    if platform.machine() not in syscalls.MOVE_PAGES_NUMBERS:
        pytest.skip("missing: move_pages on this architecture")
    assert syscalls.syscall_number() == syscalls.MOVE_PAGES_NUMBERS[platform.machine()]
