"""How kernels differ in what they answer: data, so that no rule is scattered over ifs.

Source: observed on booted kernels (docs/kernel.md) and held by the conformance suite.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

__all__ = ["KERNELS", "KernelProfile"]


@dataclass(frozen=True, slots=True)
class KernelProfile:
    """The answers of one kernel that others answer differently."""

    name: str
    untouched: int
    """Status of a page of a mapping that was never touched."""
    special: int
    """Status of a vdso page when it is to be moved."""
    sees_hinted: bool
    """Whether move_pages sees pages that NUMA balancing has marked PROT_NONE."""


KERNELS = {
    profile.name: profile
    for profile in (
        KernelProfile("linux-6.1", untouched=-errno.EFAULT, special=-errno.EFAULT, sees_hinted=False),
        KernelProfile("linux-6.12", untouched=-errno.ENOENT, special=-errno.EACCES, sees_hinted=True),
    )
}
