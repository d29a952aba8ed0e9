"""Makes a node scarce: a process that takes its memory, all but some pages, for as long as it is needed."""

import ctypes
import os
import re
import signal
from pathlib import Path

from system import ANONYMOUS_PRIVATE, HUGE, PAGE, bind, check, libc

CLOSE = 32  # pages more or less


class Ballast:
    def __init__(self):
        self.wanted, self.pid = None, 0

    def weigh(self, wanted):
        """``wanted``: {"node", "leave"} (pages), or None to let go. Stays as it is while the same is wanted."""
        if wanted == self.wanted:
            return
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.wanted, self.pid = None, 0
        if wanted:
            self.pid = fork(**wanted)
            self.wanted = wanted


def fork(node, leave):
    told, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, 9, 0, 0, 0)  # it is killed when the executor ends
        try:
            take(node, leave)
            os.write(ready, b"!")
            signal.pause()
        except BaseException as error:  # noqa: BLE001 - told to the executor
            os.write(ready, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)
    os.close(ready)
    with open(told, "rb", buffering=0) as answer:
        said = answer.read(1000)
    if said != b"!":
        os.waitpid(pid, 0)
        raise RuntimeError(f"node {node} could not be filled: {said.decode() or 'killed'}")
    return pid


def take(node, leave):
    bind([node])
    while (surplus := free_pages(node) - leave) > CLOSE:
        huge = surplus >= 4 * HUGE // PAGE
        size = surplus * PAGE // 2 // HUGE * HUGE if huge else min(surplus, 512) * PAGE
        start = check(libc.mmap(None, size, 3, ANONYMOUS_PRIVATE, -1, 0))
        check(libc.madvise(start, size, 14 if huge else 15))
        for offset in range(0, size, HUGE if huge else PAGE):
            ctypes.memset(start + offset, 1, 1)


def free_pages(node):
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    return int(re.search(r"MemFree:\s+(\d+)", text)[1]) * 1024 // PAGE
