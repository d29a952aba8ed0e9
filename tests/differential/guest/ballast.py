"""Makes a node scarce: most of its memory goes to the pool of huge pages, and the rest, all but some, to a process."""

import ctypes
import os
import re
import signal
from pathlib import Path

from system import ANONYMOUS_PRIVATE, PAGE, bind, check, libc, nodes_with_memory

HUGE_PAGES = 512
CLOSE = 32  # pages more or less
BUDDY = 4096  # pages that the process takes, since a pool takes only what lies together


class Ballast:
    """Weighed anew for each case: pages come back to the lists of CPUs, from which others do not get them."""

    def __init__(self):
        self.node, self.pid, self.before = None, 0, ""

    def weigh(self, node, leave):
        self.node, self.before = node, pool(node).read_text()
        bind([other for other in nodes_with_memory() if other != node])  # nothing of its own goes there meanwhile
        huge = max(0, free_pages(node) - leave - BUDDY) // HUGE_PAGES
        pool(node).write_text(str(int(self.before) + huge))
        self.pid = fork(node, leave)

    def drop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.node is not None:
            pool(self.node).write_text(self.before)
            bind([])
        self.node, self.pid = None, 0


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
        size = min(surplus, HUGE_PAGES) * PAGE
        start = check(libc.mmap(None, size, 3, ANONYMOUS_PRIVATE, -1, 0))
        check(libc.madvise(start, size, 15))
        for offset in range(0, size, PAGE):
            ctypes.memset(start + offset, 1, 1)


def pool(node):
    return Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages")


def free_pages(node):
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    return int(re.search(r"MemFree:\s+(\d+)", text)[1]) * 1024 // PAGE
