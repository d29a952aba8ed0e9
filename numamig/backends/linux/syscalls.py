"""move_pages(2) and mbind(2), by number, and process_vm_readv(2): calls into the kernel other than through files.

Nothing here interprets an answer. Source: move_pages(2), mm/migrate.c; numbers from arch/*/entry/syscalls and
include/uapi/asm-generic/unistd.h; process_vm_readv(2), mm/process_vm_access.c.
"""

from __future__ import annotations

import platform
import sys
from errno import EFAULT
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, UNWRITTEN, MovePagesReturn
from numamig.backends.linux._ffi import ffi as _untyped_ffi
from numamig.errors import RefusedError

__all__ = [
    "MBIND_NUMBERS",
    "MOVE_PAGES_NUMBERS",
    "SET_MEMPOLICY_NUMBERS",
    "allocate_locally",
    "move_pages",
    "prefer_node",
    "read_a_byte_of_each",
    "syscall_number",
]

MOVE_PAGES_NUMBERS = {
    "x86_64": 279,
    "aarch64": 239,
    "riscv64": 239,
    "loongarch64": 239,
    "ppc64le": 301,
    "s390x": 310,
}
"""Machine as uname(2) names it → number of move_pages."""


class _Libc(Protocol):
    def syscall(self, number: int, pid: int, count: int, pages: Any, nodes: Any, status: Any, flags: int, /) -> int: ...
    def process_vm_readv(self, pid: int, local: Any, locals_: int, remote: Any, remotes: int, flags: int, /) -> int: ...


class _Ffi(Protocol):
    """What is used of cffi: the module that it writes has no types."""

    NULL: Any

    @property
    def errno(self) -> int: ...
    def dlopen(self, name: str | None, /) -> Any: ...
    def from_buffer(self, buffer: Any, /) -> Any: ...
    def cast(self, kind: str, value: int, /) -> Any: ...


_ffi = cast(_Ffi, _untyped_ffi)
_libc = cast(_Libc, _ffi.dlopen(None))


def syscall_number(machine: str | None = None, *, word_bits: int | None = None) -> int:
    """The number of move_pages on this machine, or on the one named.

    :raises RefusedError: an architecture whose number is not known, or a 32-bit Python: its pointers are not those
        that a 64-bit kernel's move_pages reads.
    """
    machine = machine or platform.machine()
    word_bits = word_bits or (64 if sys.maxsize > 1 << 32 else 32)
    number = MOVE_PAGES_NUMBERS.get(machine)
    if number is None or word_bits != 64:
        raise RefusedError(
            f"move_pages is not known for {word_bits}-bit Python on {machine}",
            hint="supported, 64-bit only: " + ", ".join(MOVE_PAGES_NUMBERS),
        )
    return number


SET_MEMPOLICY_NUMBERS = {
    "x86_64": 238,
    "aarch64": 237,
    "riscv64": 237,
    "loongarch64": 237,
    "ppc64le": 261,
    "s390x": 270,
}
"""The same for set_mempolicy."""
MBIND_NUMBERS = {
    "x86_64": 237,
    "aarch64": 235,
    "riscv64": 235,
    "loongarch64": 235,
    "ppc64le": 259,
    "s390x": 268,
}
"""The same for mbind."""
_MPOL_PREFERRED, _MPOL_LOCAL = 1, 4
_MASK_WORDS = 16  # 1,024 nodes: as many as a kernel can be built for


def allocate_locally() -> bool:
    """Give the calling thread the policy MPOL_LOCAL, in place of whatever it has; whether that worked.

    New memory comes from where it came from by default. But NUMA faults that this thread takes then move no page: the
    policy asks for no migration on fault. Source: set_mempolicy(2), mm/mempolicy.c ``mpol_misplaced``.
    """
    number = SET_MEMPOLICY_NUMBERS.get(platform.machine())
    return number is not None and _libc.syscall(number, _MPOL_LOCAL, 0, _ffi.NULL, _ffi.NULL, _ffi.NULL, 0) == 0


def prefer_node(address: int, size_bytes: int, node: int) -> bool:
    """Have memory of our own that is not there yet come from a node, where it has some free; whether that worked.

    Source: mbind(2), MPOL_PREFERRED: where there is none, it comes from elsewhere, and nobody is killed for it.
    """
    number = MBIND_NUMBERS.get(platform.machine())
    if number is None or not 0 <= node < 64 * _MASK_WORDS:
        return False
    mask = np.zeros(_MASK_WORDS, np.uint64)
    mask[node // 64] = 1 << node % 64
    # The kernel takes one off maxnode.
    mode, bits = _ffi.cast("void *", _MPOL_PREFERRED), _ffi.cast("void *", 64 * _MASK_WORDS + 1)
    return _libc.syscall(number, address, size_bytes, mode, _ffi.from_buffer(mask), bits, 0) == 0


_number: int | None = None


def move_pages(
    pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
) -> MovePagesReturn:
    """Call move_pages(2) and say what it answered; the GIL is released meanwhile.

    :param pid: 0 is the caller
    :param addresses: shape (pages,); handed to the kernel without a copy where it is contiguous
    :param nodes: shape (pages,), wanted nodes; None only asks
    :returns: ``status`` int32, shape (pages,): cells that the kernel did not write hold ``UNWRITTEN``
    :raises RefusedError: this architecture is not supported; never for what the kernel answers
    """
    global _number
    if _number is None:
        _number = syscall_number()
    pages = np.ascontiguousarray(addresses, np.uint64)
    status = np.full(len(pages), UNWRITTEN, np.int32)
    wanted = None if nodes is None else np.ascontiguousarray(nodes, np.int32)
    if wanted is not None and wanted.shape != pages.shape:
        # The kernel would read past the end of the shorter array.
        raise ValueError(f"{len(pages)} addresses, but {len(wanted)} nodes")
    returned = _libc.syscall(
        _number,
        pid,
        len(pages),
        _ffi.from_buffer(pages),
        _ffi.NULL if wanted is None else _ffi.from_buffer(wanted),
        _ffi.from_buffer(status),
        flags,
    )
    errno = _ffi.errno if returned == -1 else 0  # thread-local, saved by cffi right after the call
    return MovePagesReturn(returned, errno, status)


_MOST_VECTORS = 1024  # IOV_MAX


def read_a_byte_of_each(pid: int, addresses: NDArray[np.uint64]) -> int:
    """Read one byte at each of these addresses of a process and forget it; addresses that cannot be read are skipped.

    :param addresses: shape (addresses,)
    :returns: 0, or the errno of a call that read nothing for another reason than its first address (EFAULT)
    """
    remote = np.ones((len(addresses), 2), np.uint64)  # struct iovec: base, length
    remote[:, 0] = addresses
    read = np.empty(_MOST_VECTORS, np.uint8)
    local = np.empty((1, 2), np.uint64)
    at = 0
    while at < len(remote):
        count = min(_MOST_VECTORS, len(remote) - at)
        local[0] = read.__array_interface__["data"][0], count
        done = _libc.process_vm_readv(pid, _ffi.from_buffer(local), 1, _ffi.from_buffer(remote[at:]), count, 0)
        if done < 0 and _ffi.errno != EFAULT:
            return _ffi.errno
        # Cut short by an address that cannot be read, which is the first of the next call: EFAULT, and skipped.
        at += done if done > 0 else 1
    return 0
