"""The pacer as time passes: byte rates, calls per second, and what an operator changes meanwhile."""

from __future__ import annotations

import random
import statistics
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numamig.migrate.pacing import Pacer, stall_ns
from tests.unit.migrate.traces import MS, Cost, p95, settled

SECOND = 1000 * MS
MIB = 1 << 20
MOST_PAGES = 65_536


class Timeline:
    """Steps and sleeps of a job, with sleeps that take longer than asked and steps that take as long as they do."""

    def __init__(self, pacer: Pacer, seed: int = 0, *, step_ns: tuple[int, int] = (200_000, 3 * MS)) -> None:
        self.pacer = pacer
        self.now = 0
        self.began: list[int] = []
        self.moved: list[tuple[int, int]] = []
        """(when, bytes)."""
        self._random = random.Random(seed)
        self._step_ns = step_ns

    def step(self, stall_ns: int = 0) -> None:
        pages = self.pacer.batch_pages
        self.began.append(self.now)
        elapsed = self._random.randint(*self._step_ns) + stall_ns
        self.now += elapsed
        self.moved.append((self.now, pages * 4096))
        gap = self.pacer.after_batch(pages, elapsed // 2, pages * 4096, elapsed)
        if gap:
            slept = gap + self._random.randint(50_000, 4 * MS)
            self.now += slept
            self.pacer.waited(slept)

    def run(self, duration_ns: int) -> None:
        end = self.now + duration_ns
        while self.now < end:
            self.step()

    def bytes_between(self, start: int, end: int) -> int:
        return sum(count for when, count in self.moved if start < when <= end)


@pytest.mark.parametrize("rate", [MIB, 20 * MIB, 200 * MIB, 1000 * MIB])
@pytest.mark.parametrize("most_calls", [None, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_any_ten_seconds_move_what_the_rate_says(rate: int, most_calls: int | None, seed: int) -> None:
    # 1000 MiB/s in batches of 2 MiB would be more than these steps can do
    pacer = Pacer(512 if rate <= 200 * MIB else 4096, rate=rate, most_calls=most_calls)
    line = Timeline(pacer, seed)
    line.run(35 * SECOND)
    for start in range(0, 24, 2):
        moved = line.bytes_between(start * SECOND, (start + 10) * SECOND)
        assert moved == pytest.approx(10 * rate, rel=0.05)


def test_the_rate_is_held_beside_a_budget() -> None:
    pacer = Pacer(512, budget_ns=2 * MS, rate=100 * MIB)
    line = Timeline(pacer)
    line.run(20 * SECOND)
    assert line.bytes_between(5 * SECOND, 15 * SECOND) == pytest.approx(1000 * MIB, rel=0.05)


@pytest.mark.parametrize("pause", [False, True], ids=["stall", "pause"])
def test_there_is_no_burst_after_a_pause_or_a_stall(pause: bool) -> None:
    rate = 100 * MIB
    line = Timeline(Pacer(512, rate=rate))
    line.run(3 * SECOND)
    if pause:
        line.now += 30 * SECOND
        line.pacer.waited(30 * SECOND)
    else:
        line.step(stall_ns=30 * SECOND)
    resumed = line.now
    line.run(SECOND)
    assert 0.95 * rate <= line.bytes_between(resumed, resumed + SECOND) <= 1.15 * rate


def test_a_tenth_of_a_second_of_delay_is_made_up_for() -> None:
    pacer = Pacer(512, rate=20 * MIB)  # a batch is a tenth of a second
    assert pacer.after_batch(512, MS, 2 * MIB, 150 * MS) == 0
    assert pacer.after_batch(512, MS, 2 * MIB, 10 * MS) == 40 * MS
    pacer.waited(40 * MS)
    assert pacer.after_batch(512, MS, 2 * MIB, 10 * SECOND) == 0
    assert pacer.after_batch(512, MS, 2 * MIB, 10 * MS) == 0
    assert pacer.after_batch(512, MS, 2 * MIB, 10 * MS) == 80 * MS


def test_nothing_is_owed_from_before_a_time_without_a_rate() -> None:
    pacer = Pacer(512, rate=MIB)
    assert pacer.after_batch(512, MS, 2 * MIB, 0) == 2 * SECOND
    pacer.rate = None
    assert pacer.after_batch(512, MS, 2 * MIB, 0) == 0
    pacer.rate = MIB
    assert pacer.after_batch(512, MS, MIB, 0) == SECOND


def test_a_batch_is_no_more_than_a_quarter_of_a_second_of_the_rate() -> None:
    pacer = Pacer(4096, rate=4 * MIB)
    assert pacer.batch_pages == 256
    pacer.rate = 1000
    assert pacer.batch_pages == 1
    pacer.rate = None
    assert pacer.batch_pages == 4096
    pacer.rate = 4 * MIB
    pacer.budget_ns = 50 * MS
    sizes = [pages for pages, _ in Cost(0, 1000).trace(pacer, 50)]
    assert max(sizes) == 256


def test_what_several_threads_move_in_a_step_counts_for_the_size_of_a_batch() -> None:
    pacer = Pacer(4096, rate=4 * MIB)
    pacer.after_batch(256, MS, 4 * 256 * 4096, MS, calls=4)
    assert pacer.batch_pages == 64


def test_a_raised_rate_shortens_the_gap_that_is_being_waited() -> None:
    pacer = Pacer(512, rate=MIB)
    assert pacer.after_batch(512, MS, 2 * MIB, 0) == 2 * SECOND
    pacer.waited(SECOND)
    assert pacer.gap_ns == SECOND
    pacer.rate = 10 * MIB
    assert pacer.gap_ns == SECOND // 10
    pacer.rate = MIB // 100
    assert pacer.gap_ns == SECOND
    pacer.rate = None
    assert pacer.gap_ns == 0


@pytest.mark.parametrize("most_calls", [10, 200, 3000])
def test_calls_begin_no_closer_than_their_number_a_second_says(most_calls: int) -> None:
    line = Timeline(Pacer(512, most_calls=most_calls), step_ns=(10_000, 6 * MS))
    line.run(SECOND)
    line.pacer.waited(20 * SECOND)  # a pause
    line.now += 20 * SECOND
    line.step(stall_ns=20 * SECOND)
    line.run(SECOND)
    apart = [after - before for before, after in zip(line.began, line.began[1:], strict=False)]
    assert min(apart) >= SECOND / most_calls
    assert min(apart) < 1.5 * SECOND / most_calls, "and it does not wait for nothing"


def test_calls_beside_each_other_are_counted_each() -> None:
    pacer = Pacer(512, most_calls=200)
    assert pacer.after_batch(512, MS, 0, 2 * MS) == 3 * MS
    assert pacer.after_batch(512, MS, 0, 2 * MS, calls=3) == 13 * MS
    pacer.waited(10 * MS)
    assert pacer.gap_ns == 3 * MS
    assert pacer.after_batch(512, MS, 0, 6 * MS) == 0


def test_the_longer_gap_is_waited() -> None:
    assert Pacer(512, rate=100 * MIB, most_calls=200).after_batch(512, MS, 2 * MIB, 0) == 20 * MS
    assert Pacer(512, rate=1000 * MIB, most_calls=200).after_batch(512, MS, 2 * MIB, 0) == 5 * MS


def test_nothing_asked_is_nothing_waited() -> None:
    pacer = Pacer(512)
    assert not pacer.steers
    assert pacer.after_batch(512, MS, 2 * MIB, MS) == 0
    assert pacer.batch_pages == 512
    assert Pacer(512, 1).steers
    assert Pacer(512, rate=1).steers
    assert Pacer(512, most_calls=1).steers


def test_a_toucher_waits_for_the_kernels_own_batch() -> None:
    assert stall_ns(8 * MS, 4096, 512) == MS
    assert stall_ns(8 * MS, 4096, 1) == 8 * MS // 4096
    assert stall_ns(8 * MS, 100, 512) == 8 * MS, "never longer than the call"
    assert stall_ns(0, 0, 512) == 0


WANTED = {
    "batch_pages": st.integers(-5, 1 << 20),
    "budget_ns": st.none() | st.integers(1, 100 * MS),
    "rate": st.none() | st.integers(1, 1 << 36),
    "most_calls": st.none() | st.integers(1, 100_000),
}
CHANGES = st.one_of(*(st.tuples(st.just(name), value) for name, value in WANTED.items()))
STEPS = st.tuples(
    st.floats(1e-6, 1e6),  # of what was asked, the share that was named
    st.integers(0, 1 << 40),  # the call
    st.integers(0, 1 << 40),  # bytes
    st.integers(0, 1 << 40),  # the step
    st.integers(0, 4),  # calls
)


@given(st.lists(st.one_of(CHANGES, STEPS), max_size=60), st.integers(0, 1 << 40))
def test_sizes_and_gaps_stay_within_their_bounds(happened: list[tuple[object, ...]], waited: int) -> None:
    pacer = Pacer(512, MS)
    for what in happened:
        match what:
            case (str(name), value):
                setattr(pacer, name, value)
            case (float(share), int(call_ns), int(moved), int(elapsed_ns), int(calls)):
                pages = max(1, round(pacer.batch_pages * share))
                assert pacer.after_batch(pages, call_ns, moved, elapsed_ns, calls) >= 0
                pacer.waited(waited)
        assert pacer.batch_pages >= 1
        assert pacer.batch_pages <= MOST_PAGES or pacer.budget_ns is None
        assert pacer.gap_ns >= 0
        assert not pacer.budget_note or pacer.budget_ns is not None


def test_it_may_be_set_and_asked_from_another_thread() -> None:
    pacer = Pacer(512, 5 * MS)
    ended = threading.Event()

    def operator() -> None:
        chance = random.Random(1)
        while not ended.is_set():
            pacer.budget_ns = chance.choice([None, 5 * MS, 100])
            pacer.rate = chance.choice([None, MIB, 1 << 33])
            pacer.most_calls = chance.choice([None, 200])
            pacer.batch_pages = chance.choice([1, 4096])
            assert pacer.batch_pages >= 1
            assert pacer.gap_ns >= 0
            assert pacer.budget_note is not None

    thread = threading.Thread(target=operator)
    thread.start()
    try:
        for _ in Cost(50_000, 1000).trace(pacer, 3000):
            pacer.waited(MS)
    finally:
        ended.set()
        thread.join()
    pacer.budget_ns, pacer.rate, pacer.most_calls = 5 * MS, None, None
    durations = settled(Cost(50_000, 1000), pacer)
    assert p95(durations) <= 5 * MS
    assert statistics.median(durations) >= 0.7 * 5 * MS
