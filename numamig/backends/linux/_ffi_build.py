"""Writes ``_ffi.py``: the cffi declarations of what numamig calls in libc, out of line and in ABI mode.

Nothing is compiled, neither here nor at install: ``_ffi.py`` is Python, committed next to this file. After a change
here run ``python -m numamig.backends.linux._ffi_build``; a unit test holds the two together.
Source: cffi documentation, "Preparing and distributing modules", out-of-line ABI mode.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from cffi import FFI  # noqa: TID251 - this is the place

__all__ = ["TARGET", "ffibuilder", "render"]

TARGET = Path(__file__).with_name("_ffi.py")

# glibc has no wrapper for move_pages(2), and libnuma is one more thing to install: the number is ours to know.
# unistd.h leaves syscall() open after the number. Fixed here to the arguments of move_pages: every architecture in
# syscalls.py passes them in the same places either way, and a fixed call costs 3.5 us where an open one costs 7.4.
CDEF = """
long syscall(long number, long pid, unsigned long count, void *pages, void *nodes, void *status, long flags);
long process_vm_readv(int pid, void *local, unsigned long locals, void *remote, unsigned long remotes,
                       unsigned long flags);
"""

# The emitted lines are data: longer than ours, and untyped.
_HEADER = "# Written by _ffi_build.py: do not edit.\n# fmt: off\n# ruff: noqa\n# mypy: ignore-errors\n"

ffibuilder = FFI()
ffibuilder.cdef(CDEF)
ffibuilder.set_source("numamig.backends.linux._ffi", None)


def render() -> str:
    """The text of ``_ffi.py``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "_ffi.py")
        ffibuilder.emit_python_code(str(path))
        return _HEADER + path.read_text()


if __name__ == "__main__":
    TARGET.write_text(render())
