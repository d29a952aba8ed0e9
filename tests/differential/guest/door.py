"""The back door: where pages really are, from /proc/PID/pagemap, /proc/kpageflags and /proc/kpagecount.

Page frame to node by the memory blocks of each node. No way to look here is one that is tested.
"""

import array
import ctypes
import os
import re
from pathlib import Path

from system import ANONYMOUS_PRIVATE, HUGE, PAGE, check, libc

PRESENT, SWAPPED, FRAME = 1 << 63, 1 << 62, (1 << 55) - 1
HEAD, TAIL = 1 << 15, 1 << 16
SOME = 32
BLOCK = 512  # no folio is larger, and each is aligned


class Frames:
    """Physical memory."""

    def __init__(self):
        self.flags = os.open("/proc/kpageflags", os.O_RDONLY)
        self.counts = os.open("/proc/kpagecount", os.O_RDONLY)
        self.shift, self.node = blocks()
        self.zero = zero_frames()
        self.seen = {}

    def forget(self):
        self.seen.clear()

    def read(self, file, first, count):
        words = array.array("Q")
        words.frombytes(os.pread(file, 8 * count, 8 * first))
        return words

    def folio(self, frame):
        """(first frame, mapcounts of all its frames)."""
        known = self.seen.get(frame)
        if known:
            return known
        flags = self.read(self.flags, frame, 1)[0]
        if not flags & (HEAD | TAIL):
            return frame, [self.read(self.counts, frame, 1)[0]]
        base = frame - frame % BLOCK
        flags = self.read(self.flags, base, BLOCK)
        head = frame - base
        while flags[head] & TAIL:
            head -= 1
        end = head + 1
        while end < BLOCK and flags[end] & TAIL:
            end += 1
        counts = self.read(self.counts, base + head, end - head).tolist()
        for member in range(head, end):
            self.seen[base + member] = (base + head, counts)
        return self.seen[frame]


def blocks():
    size = int(Path("/sys/devices/system/memory/block_size_bytes").read_text(), 16)
    found = {}
    for node in Path("/sys/devices/system/node").glob("node[0-9]*"):
        for block in node.glob("memory[0-9]*"):
            found[int(block.name[6:])] = int(node.name[4:])
    return (size // PAGE).bit_length() - 1, found


def zero_frames():
    """The zero page, and the frames of the huge one: what a read of untouched memory shows."""
    start = check(libc.mmap(None, 2 * HUGE, 1, ANONYMOUS_PRIVATE, -1, 0))
    aligned = -(-start // HUGE) * HUGE
    check(libc.madvise(aligned, HUGE, 14))
    ctypes.string_at(aligned, 1)
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        words = array.array("Q")
        words.frombytes(os.pread(pagemap.fileno(), 8 * BLOCK, aligned // PAGE * 8))
        frames = {word & FRAME for word in words if word & PRESENT}
        check(libc.munmap(start, 2 * HUGE))
        start = check(libc.mmap(None, PAGE, 1, ANONYMOUS_PRIVATE, -1, 0))
        ctypes.string_at(start, 1)
        words = array.array("Q")
        words.frombytes(os.pread(pagemap.fileno(), 8, start // PAGE * 8))
    return frozenset(frames | {words[0] & FRAME})


class Door:
    """One process, seen from outside."""

    def __init__(self, pid, frames):
        self.pid, self.frames = pid, frames
        self.last = {}
        self.pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)

    def close(self):
        os.close(self.pagemap)
        os.close(self.memory)

    def entries(self, start, pages):
        words = array.array("Q")
        words.frombytes(os.pread(self.pagemap, 8 * pages, start // PAGE * 8))
        if len(words) != pages:  # the vsyscall page and beyond: not in the page tables of a process
            words.extend([0] * (pages - len(words)))
        return words

    def placement(self, start, pages):
        """A letter a page, run by run ("512x0 3x."): node, z(ero page), s(wapped), or . for nothing."""
        entries = self.entries(start, pages)
        if self.last.get(start, (None,))[0] == entries:
            return self.last[start][1]
        zero, node, shift = self.frames.zero, self.frames.node, self.frames.shift
        runs, last, length = [], None, 0
        for word in entries:
            if word & PRESENT:
                frame = word & FRAME
                letter = "z" if frame in zero else str(node.get(frame >> shift, "?"))
            else:
                letter = "s" if word & SWAPPED else "."
            if letter != last:
                if length:
                    runs.append(f"{length}x{last}")
                last, length = letter, 0
            length += 1
        runs.append(f"{length}x{last}")
        self.last[start] = entries, " ".join(runs)
        return self.last[start][1]

    def folios(self, start, pages):
        """What is mapped: runs of [first page, pages, index in the folio, pages of the folio, mapcounts].

        Folios of a single page make one run where they are mapped equally often.
        """
        found, before = [], None
        for page, word in enumerate(self.entries(start, pages)):
            frame = word & FRAME
            if not word & PRESENT or frame in self.frames.zero:
                before = None
                continue
            head, counts = self.frames.folio(frame)
            if before in ((head, frame - 1), tuple(counts)):
                found[-1][1] += 1
            else:
                found.append([page, 1, frame - head, len(counts), runs_of(counts)])
            before = (head, frame) if len(counts) > 1 else tuple(counts)
        return found

    def doubled(self, start, pages):
        """Pages that lie in a frame in which another of the same area lies too."""
        frames = [word & FRAME for word in self.entries(start, pages) if word & PRESENT]
        real = [frame for frame in frames if frame not in self.frames.zero]
        return len(real) - len(set(real))

    def mappings(self, start, end):
        """[start, end, permissions, name of the file] of what lies within."""
        found = []
        with open(f"/proc/{self.pid}/maps") as lines:
            for line in lines:
                match = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)", line)
                low, high = int(match[1], 16), int(match[2], 16)
                if low < end and high > start:
                    found.append([max(low, start), min(high, end), match[3], match[4].rsplit("/", 1)[-1]])
        return found

    def contents(self, present):
        """The first byte of each of these pages, given as runs (start, pages); of long runs, of some pages."""
        return b"".join(
            os.pread(self.memory, pages * PAGE, start)[::PAGE]
            if pages <= 2 * SOME
            else b"".join(os.pread(self.memory, 1, start + page * PAGE) for page in range(0, pages, SOME))
            for start, pages in present
        )

    def present(self, start, pages):
        """Runs (start, pages) of pages that can be read without a fault."""
        runs, before = [], False
        for page, word in enumerate(self.entries(start, pages)):
            here = bool(word & PRESENT)
            if here and before:
                runs[-1][1] += 1
            elif here:
                runs.append([start + page * PAGE, 1])
            before = here
        return runs


def runs_of(values):
    """[[count, value], ...]"""
    runs = []
    for value in values:
        if runs and runs[-1][1] == value:
            runs[-1][0] += 1
        else:
            runs.append([1, value])
    return runs
