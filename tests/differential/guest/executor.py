"""The executor: runs in the laboratory's guest, makes what each case asks for, calls move_pages(2), looks, and tells.

    executor.py DIRECTORY

Batches of cases are files ``batch-0.jsonl``, ``batch-1.jsonl``, ... in the directory, one case a line, which appear
whole and at any time; a file ``stop`` ends it. One line of JSON goes to stdout for each case, and one for each batch.
One process does it all, and forks the others: to start Python takes emulated seconds.
"""

import gc
import json
import os
import signal
import sys
import time
import traceback
from itertools import pairwise
from pathlib import Path

from areas import APART, BASE, FOUND, fork_area_process, found
from ballast import Ballast
from callers import start_callers
from door import Door, Frames
from system import PAGE, prepare_cpusets, quieten

POOL_PAGES = 8
KERNEL_THREAD = 2


class Executor:
    def __init__(self, directory):
        quieten(POOL_PAGES)
        prepare_cpusets()
        self.directory = Path(directory)
        self.frames = Frames()
        self.callers = start_callers()
        self.ballast = Ballast()
        self.zombie = os.fork() or os._exit(0)
        self.nobody = int(Path("/proc/sys/kernel/pid_max").read_text()) - 1
        gc.disable()  # a collection touches every page that was shared by a fork

    def batches(self):
        number = 0
        while True:
            path = self.directory / f"batch-{number}.jsonl"
            if path.exists():
                with open(path) as lines:
                    for line in lines:
                        tell(self.run(json.loads(line)))
                tell({"batch": number})
                number += 1
            elif (self.directory / "stop").exists():
                return
            else:
                time.sleep(0.02)

    def run(self, case):
        self.marks = [time.monotonic()]
        report = self.attempt(case)
        self.marks.append(time.monotonic())
        report["took"] = [round(b - a, 4) for a, b in pairwise(self.marks)]
        return report

    def attempt(self, case):
        pid, told, keep = fork_area_process(case, self.directory / "data")
        try:
            answer = os.read(told, 1000)
            if answer != b"!":
                return {"case": case["id"], "error": f"set-up: {answer.decode()}"}
            wait_until_asleep(pid)
            if case["crowd"]:
                self.ballast.weigh(**case["crowd"])
            self.marks.append(time.monotonic())
            return self.observe(case, pid)
        except Exception:  # noqa: BLE001 - told to the host
            return {"case": case["id"], "error": traceback.format_exc()}
        finally:
            os.close(keep)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            # Both processes hold the other end of this; it ends after their memory has.
            while os.read(told, 1000):
                pass
            os.close(told)
            self.ballast.drop()

    def observe(self, case, pid):
        door = Door(pid, self.frames)
        try:
            self.frames.forget()
            where = [self.where(number, area) for number, area in enumerate(case["areas"])]
            areas = []
            for start, pages in where:
                areas.append(
                    {
                        "start": start,
                        "pages": pages,
                        "mappings": door.mappings(start, start + pages * PAGE),
                        "placement": door.placement(start, pages),
                        "folios": door.folios(start, pages),
                    }
                )
            present = [run for start, pages in where for run in door.present(start, pages)]
            before = door.contents(present)
            self.marks.append(time.monotonic())
            calls = [self.call(call, pid, where, door) for call in case["calls"]]
            self.marks.append(time.monotonic())
            doubled = [door.doubled(start, pages) for start, pages in where]
            intact = door.contents(present) == before
        finally:
            door.close()
        return {"case": case["id"], "areas": areas, "calls": calls, "intact": intact, "doubled": sum(doubled)}

    def where(self, number, area):
        return found(area["map"]) if area["map"] in FOUND else (BASE + number * APART, area["pages"])

    def call(self, call, pid, where, door):
        pid = {"target": pid, "unused": self.nobody, "zombie": self.zombie, "kernel": KERNEL_THREAD, "negative": -pid}[
            call["pid"]
        ]
        addresses = [address(where, *place) for place in call["addresses"]]
        answer = self.callers[call["caller"]].move_pages(pid, addresses, call["nodes"], call["flags"])
        return [*answer, [door.placement(*area) for area in where]]


def address(where, area, offset):
    """Of an area that was found rather than made, every offset is one within it."""
    if area < 0:
        return offset
    start, pages = where[area]
    return start + (offset if start == BASE + area * APART else offset % (pages * PAGE))


def wait_until_asleep(pid):
    """It has said what it had to say: from then on it faults no page in."""
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
        os.sched_yield()


def tell(what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


def main():
    start = time.monotonic()
    executor = Executor(sys.argv[1])
    tell({"kernel": os.uname().release, "ready_seconds": time.monotonic() - start})
    executor.batches()


if __name__ == "__main__":
    main()
