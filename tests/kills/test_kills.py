"""A thousand ``kill -9`` while pages are moved: what moved is in the journal, and undo puts every page where it was.

Half of them at a random moment of the run, half exactly between, or in, what a step does. ``NUMAMIG_KILLS`` for more.
"""

from __future__ import annotations

import functools
import itertools
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from numamig.backends.simulator import machinefile
from numamig.migrate.destination import Node
from numamig.migrate.request import Request, Retry, RetryMode
from tests.kills.child import EXACT, Doom, Phase, Task
from tests.kills.explain import Layout
from tests.kills.world import NODES, PIDS, World

SEEDS = range(10)
KILLS = int(os.environ.get("NUMAMIG_KILLS", "1000")) // len(SEEDS)
_OF_A_JOURNAL = 8  # jobs that are killed and taken back; then a new one
_FROM = {Phase.STARTING: 1, Phase.OPENING: 2, Phase.PLANNING: 2, Phase.CHOOSING: 10}
"""From when a random time is counted, and how often: pages move after the last."""


class Killer:
    """Makes up tasks, and the moments at which their children die."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.world = World(folder, seed)
        self.exactly: Counter[Phase] = Counter()
        self.at_random: Counter[Phase] = Counter()
        self._chance = random.Random(seed)
        self._seconds_a_batch = 0.002

    @property
    def kills(self) -> int:
        return self.exactly.total() + self.at_random.total()

    def cycles(self, kills: int) -> None:
        for cycle in itertools.count(1):
            self._cycle()
            if self.kills >= kills:
                return
            if cycle % _OF_A_JOURNAL == 0:
                self.world.begin_journal()

    def _cycle(self) -> None:
        """A job that is killed, perhaps gone on with and killed again, and then taken back."""
        world, seldom = self.world, self._seldom
        before = world.layout
        request = self._new_request()
        batches = world.pages(request) // (request.batch_pages * request.threads) + 1
        number = self._kill(Task(world.environment, request), batches)
        if number is None:
            assert (world.layout == before).all(), "pages moved without a job"
            return
        if seldom(0.3) and self._unfinished(number):
            self._kill(Task(world.environment, resume=number), batches)
            world.demand_explained_by(number, before)
        while (world.layout != before).any() and seldom(0.25):
            self._kill_undo(number, batches, before)
            if seldom(0.3) and self._unfinished(number):
                self._kill(Task(world.environment, resume=number), batches)
        world.undo(number, before)

    def _kill_undo(self, number: int, batches: int, before: Layout) -> None:
        world = self.world
        forth = world.layout
        undo = self._kill(Task(world.environment, undo=number), batches)
        if undo is None:
            assert (world.layout == forth).all()
        elif self._seldom(0.3):
            world.undo(undo, forth)  # what was taken back can be had again
        elif not self._unfinished(undo):
            assert (world.layout == before).all()

    def _kill(self, task: Task, batches: int) -> int | None:
        """A child does it and is killed, if it is not too quick; the number of its job, if that is a new one."""
        chance = self._chance
        if exactly := self.exactly.total() <= self.at_random.total():
            phase = min(EXACT, key=lambda phase: self.exactly[phase])
            times = {Phase.IN_FLUSH: 5, Phase.IN_JOURNAL: 4 * batches}.get(phase, batches)
            doom, after_s = Doom(phase, chance.randint(1, times), chance.random()), None
        else:
            doom = Doom(from_phase=chance.choices([*_FROM], [*_FROM.values()])[0])
            after_s = chance.uniform(0, batches * self._seconds_a_batch)
        end, number = self.world.kill(task, doom, after_s)
        if end.killed:
            (self.exactly if exactly else self.at_random)[end.phase] += 1
        else:
            self._seconds_a_batch += 0.2 * (end.seconds / batches - self._seconds_a_batch)
        return number

    def _new_request(self) -> Request:
        chance = self._chance
        return Request(
            chance.choice(PIDS),
            Node(chance.choice(NODES)),
            shared=chance.random() < 0.5,
            batch_pages=round(16 * (700 / 16) ** chance.random()),
            retry=chance.choice([Retry(), Retry(RetryMode.NEVER), Retry(passes=2)]),
            most_calls=None,
            threads=chance.choice([1, 1, 2]),
        )

    def _unfinished(self, number: int) -> bool:
        return self.world.jobs[number].state != "done"

    def _seldom(self, share: float) -> bool:
        return self._chance.random() < share


@pytest.mark.parametrize("seed", SEEDS)
def test_after_undo_every_page_is_where_it_was(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Children have what their parent has read, so that they die moving pages rather than reading YAML.
    monkeypatch.setattr(machinefile, "parse_yaml", functools.cache(machinefile.parse_yaml))
    killer = Killer(tmp_path, seed)
    killer.cycles(KILLS)
    print(f"{killer.kills} kills: exactly {_said(killer.exactly)}; at random {_said(killer.at_random)}")
    assert set(killer.exactly) == set(EXACT)


def _said(phases: Counter[Phase]) -> str:
    return ", ".join(f"{phase.name.lower()} {phases[phase]}" for phase in sorted(phases))
