"""The cost model against the published figures, and what must hold whatever its parameters are."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cost_model
from benchmarks.cost_rows import GIGABYTE, ROWS, Quantity, Row
from numamig.backends.base import MovePagesCall
from numamig.backends.simulator.costs import Conditions, CostModel, Load
from numamig.backends.simulator.kernels import KERNELS
from tests.machines import PID, START, add_process, machine

KIB, MIB = 1 << 10, 1 << 20
MODEL = CostModel()
DOCS = Path(__file__).parents[3] / "docs" / "simulator.md"

sizes = st.integers(0, 9).map(lambda power: 4 * KIB << power)
counts = st.integers(1, 1 << 18)
conditions = st.builds(
    Conditions,
    cpus=st.integers(1, 1024),
    victim_cpus=st.integers(0, 256),
    copy_threads=st.integers(1, 64),
    mappers=st.floats(1, 100),
    batch_pages=st.sampled_from([1, 512]),
    copied_before_bytes=st.one_of(st.just(0.0), st.just(math.inf), st.floats(0, 1e10)),
)


def ns(folio_bytes: int, folios: int, under: Conditions) -> float:
    return MODEL.duration(Load.of(folio_bytes, folios), under).total_ns


def never_more(less: float, more: float) -> bool:
    return less <= more * (1 + 1e-9)


def name(row: Row) -> str:
    return f"{row.quantity}-{row.folio_bytes // KIB}K-{row.folios}-{row.copy_threads}-{row.source}"


@pytest.mark.parametrize("row", [r for r in ROWS if r.tolerance and r.quantity is Quantity.RATE], ids=name)
def test_rates_that_it_is_fitted_to_are_within_8_percent(row: Row) -> None:
    assert cost_model.predicted(MODEL, row) == pytest.approx(row.measured, rel=0.08)


@pytest.mark.parametrize("row", [r for r in ROWS if not r.tolerance and r.single_thread and "V3" in r.source], ids=name)
def test_rates_of_the_same_table_that_it_has_not_seen(row: Row) -> None:
    # 16 huge pages a call were measured slower than 8 and than 32: no model in which more is not slower meets all 3.
    error = 0.18 if (row.folio_bytes, row.folios) == (2 * MIB, 16) else 0.06
    assert cost_model.predicted(MODEL, row) == pytest.approx(row.measured, rel=error)


@pytest.mark.parametrize(
    "row", [r for r in ROWS if not r.tolerance and r.single_thread and "V3" not in r.source], ids=name
)
def test_rates_of_other_kernels_on_that_machine(row: Row) -> None:
    assert cost_model.predicted(MODEL, row) == pytest.approx(row.measured, rel=0.12)


@pytest.mark.parametrize("row", [r for r in ROWS if not r.tolerance and r.copy_threads > 1], ids=name)
def test_copy_threads_that_it_has_not_seen(row: Row) -> None:
    assert cost_model.predicted(MODEL, row) == pytest.approx(row.measured, rel=max(0.12, row.spread / row.measured))


def test_the_share_of_copying() -> None:
    def share(folio_bytes: int, folios: int) -> float:
        return MODEL.duration(Load.of(folio_bytes, folios), Conditions(copied_before_bytes=0)).copy_share

    assert share(4 * KIB, 1) < 0.01
    assert share(4 * KIB, 512) == pytest.approx(0.35, abs=0.06)
    assert share(2 * MIB, 1) == pytest.approx(0.66, abs=0.03)
    assert share(2 * MIB, 512) == pytest.approx(0.97, abs=0.01)


def test_what_a_call_costs_before_it_moves_anything() -> None:
    assert 24e3 <= MODEL.duration(Load.of(4096, 1), Conditions(cpus=2)).drain_ns <= 27e3
    assert 40e3 <= MODEL.duration(Load.of(4096, 1)).drain_ns <= 70e3


def test_batches_spare_a_threaded_process_nearly_all_interrupts() -> None:
    load = Load.of(4 * KIB, GIGABYTE // (4 * KIB))
    batched = MODEL.duration(load, Conditions(victim_cpus=8, batch_pages=KERNELS["linux-6.12"].batch_pages))
    one_by_one = MODEL.duration(load, Conditions(victim_cpus=8, batch_pages=KERNELS["linux-6.1"].batch_pages))
    assert one_by_one.interrupts == 8 * load.folios
    assert batched.interrupts == one_by_one.interrupts / 512
    assert one_by_one.total_ns / batched.total_ns == pytest.approx(3.9, rel=0.02)


def test_a_huge_page_is_a_batch_of_its_own() -> None:
    for pages in (1, 512):
        assert Load.of(2 * MIB, 7).flushes(pages) == 7


def test_who_touches_a_page_waits_for_its_batch() -> None:
    assert MODEL.stall_ns(Load.of(4 * KIB, 5120)) == pytest.approx(0.6e6, rel=0.1)
    assert MODEL.stall_ns(Load.of(2 * MIB, 10)) == pytest.approx(0.2e6, rel=0.05)
    alone = MODEL.stall_ns(Load.of(4 * KIB, 5120), Conditions(batch_pages=1))
    assert alone == pytest.approx(MODEL.stall_ns(Load.of(4 * KIB, 1)))
    assert MODEL.stall_ns(Load(0, 0, 0, 0, runs=0, failed=3)) == 0


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize(("folio_pages", "folios"), [(1, 512), (16, 32), (512, 3)])
def test_the_simulator_asks_the_same_model(kernel: str, folio_pages: int, folios: int) -> None:
    backend = machine(kernel=kernel)
    (backing,) = add_process(backend, [0] * (folio_pages * folios), huge=folio_pages > 1)
    backing.folio_pages = folio_pages
    where = START + np.arange(folios, dtype=np.uint64) * np.uint64(folio_pages * 4 * KIB)
    assert backend.move_pages(PID, where, np.ones(folios, np.int32)).returned == 0
    assert (backing.node == 1).all()
    under = Conditions(cpus=3, batch_pages=KERNELS[kernel].batch_pages)
    assert backend.clock.now_ns() == round(ns(folio_pages * 4 * KIB, folios, under))


def test_runs_of_one_page_cost_more_than_one_run() -> None:
    """Which is what a list becomes that is mixed with pages that need no move."""

    def took(nodes: list[int]) -> int:
        backend = machine()
        add_process(backend, [0] * 512)
        where = START + np.arange(512, dtype=np.uint64) * np.uint64(4 * KIB)
        assert backend.move_pages(PID, where, np.array(nodes, np.int32)).returned == 0
        return backend.clock.now_ns()

    assert took([1, 2] * 256) > 4 * took([1] * 512)


def test_copies_at_the_same_time_share_the_links() -> None:
    backend = machine()
    add_process(backend, [0] * 2048)
    where = START + np.arange(2048, dtype=np.uint64) * np.uint64(4 * KIB)
    calls = [MovePagesCall(PID, part, np.ones(1024, np.int32), 2) for part in np.split(where, 2)]
    assert [answer.returned for answer in backend.move_pages_together(calls)] == [0, 0]
    alone = MODEL.duration(Load.of(4 * KIB, 1024), Conditions(cpus=3))
    shared = alone.total_ns - alone.copy_ns + 1024 * 4 * KIB / (MODEL.copying(2) / 2)
    assert backend.clock.now_ns() == pytest.approx(shared, abs=3)
    assert alone.total_ns < backend.clock.now_ns() < 2 * alone.total_ns


@pytest.mark.parametrize("folio_bytes", [0, 2048, 12 * KIB, 4 * MIB, -4096])
def test_sizes_that_no_folio_has(folio_bytes: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Load.of(folio_bytes, 1)


@given(sizes, counts, counts, conditions)
def test_more_folios_a_call_are_never_slower_per_byte(size: int, few: int, more: int, under: Conditions) -> None:
    few, more = sorted((few, more))
    assert never_more(ns(size, more, under) / more, ns(size, few, under) / few)
    assert never_more(ns(size, few, under), ns(size, more, under))


@given(sizes, sizes, counts, conditions)
def test_larger_folios_are_never_slower_per_byte(small: int, large: int, folios: int, under: Conditions) -> None:
    small, large = sorted((small, large))
    assert never_more(ns(large, folios, under) / large, ns(small, folios, under) / small)
    same = large // small * folios
    assert never_more(ns(large, folios, under), ns(small, same, under))


@given(sizes, counts, conditions, st.floats(1, 100), st.integers(1, 8))
def test_mappers_cpus_and_threads_pull_their_ways(
    size: int, folios: int, under: Conditions, factor: float, more: int
) -> None:
    here = ns(size, folios, under)
    assert never_more(here, ns(size, folios, replace(under, mappers=under.mappers * factor)))
    assert under.cpus is not None
    assert never_more(here, ns(size, folios, replace(under, victim_cpus=under.victim_cpus + more)))
    assert never_more(ns(size, folios, replace(under, copy_threads=under.copy_threads + more)), here)
    one_thread = replace(under, copy_threads=1)
    assert never_more(ns(size, folios, one_thread), ns(size, folios, replace(one_thread, cpus=under.cpus + more)))
    assert never_more(
        ns(size, folios, replace(under, batch_pages=512)), ns(size, folios, replace(under, batch_pages=1))
    )
    assert never_more(ns(size, folios, replace(under, copied_before_bytes=math.inf)), here)


@given(sizes, counts, conditions)
def test_the_parts_are_the_whole_and_nobody_sleeps_longer_than_the_call(
    size: int, folios: int, under: Conditions
) -> None:
    load = Load.of(size, folios)
    call = MODEL.duration(load, under)
    assert 0 < call.copy_share < 1
    assert never_more(MODEL.stall_ns(load, under), call.total_ns)
    assert call.batches_ns == pytest.approx(MODEL.stall_ns(load, under) * call.flushes)


def test_every_parameter_has_a_unit_and_says_where_it_comes_from() -> None:
    table = MODEL.provenance()
    assert len({each.symbol for each in table}) == len(table)
    for each in table:
        assert each.unit
        assert each.source.split(":")[0] in {"fitted", "measured", "derived", "read", "assumed"}, each
        assert each.source.startswith("fitted:") == (each.name in cost_model.FIRST_GUESS), each


def test_the_documentation_shows_the_parameters_as_they_are() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for each in MODEL.provenance():
        assert f"| `{each.name}` | {each.symbol} | {each.value:,} | {each.unit} |" in text, each.name


def test_the_fit_finds_the_parameters_that_the_simulator_uses() -> None:
    again = cost_model.fit()
    for each in cost_model.FIRST_GUESS:
        assert getattr(MODEL, each) == pytest.approx(getattr(again, each), rel=0.005), each


def test_the_fit_finds_what_figures_were_made_from() -> None:
    made = replace(MODEL, folio_ns=700.0, copy_bytes_per_ns=8.0, settling_bytes=5e7)
    rows = [replace(row, measured=cost_model.predicted(made, row)) for row in ROWS]
    found = cost_model.fit(rows)
    for each in cost_model.FIRST_GUESS:
        assert getattr(found, each) == pytest.approx(getattr(made, each), rel=0.01), each


def test_a_prediction_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost_model.main(["predict", "--folio", "256KiB", "--folios", "512", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == [
        "folio_bytes",
        "folios",
        "callers",
        "threads",
        "cpus",
        "victim_cpus",
        "mappers",
        "kernel",
        "gigabytes_per_second",
        "seconds_per_call",
        "copy_share",
        "interrupts",
        "worst_stall_seconds",
    ]
    assert told["gigabytes_per_second"] == pytest.approx(512 * 256 * KIB / 1e9 / told["seconds_per_call"])


def test_a_prediction_minds_what_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    def rate(*options: str) -> float:
        assert cost_model.main(["predict", "--json", *options]) == 0
        told = json.loads(capsys.readouterr().out)
        return float(told["gigabytes_per_second"])

    huge = ("--folio", "2M", "--folios", "1")
    assert rate() == pytest.approx(3.73, rel=0.08)
    assert rate("--folio", "2M", "--threads", "16") == pytest.approx(35.9, rel=0.08)
    assert rate(*huge, "--cpus", "2") > rate(*huge) > rate(*huge, "--cpus", "512")
    assert rate(*huge, "--settled") > rate(*huge)
    assert rate("--mappers", "4") < rate()
    # Observed on 6.12: two threads of small pages together reach 1.6 to 2.1 times the rate of one.
    assert 1.6 < rate("--callers", "2", "--folios", "4096") / rate("--folios", "4096") < 2.1
    large = ("--folio", "2M", "--folios", "64")
    assert rate("--callers", "64", *large) < MODEL.copy_ceiling_bytes_per_ns
    assert rate("--kernel", "linux-6.1") < rate()
    assert rate("--kernel", "linux-6.1", "--victim-cpus", "8") < rate("--victim-cpus", "8") / 3


def test_what_cannot_be_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost_model.main(["predict", "--json", "--cpus", "2", "--threads", "16", "--victim-cpus", "4"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["threads"], told["victim_cpus"]) == (2, 1)
    assert "16 copying threads asked for, 2 are possible" in said.err and "4 CPUs" in said.err


@pytest.mark.parametrize(
    "options",
    [["--folio", "3KiB"], ["--folio", "big"], ["--folios", "0"], ["--mappers", "0.5"], ["--victim-cpus", "-1"]],
)
def test_what_cannot_be_predicted(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cost_model.main(["predict", *options])
    assert end.value.code == 2
    assert options[1] in capsys.readouterr().err.replace("3072 bytes", "3KiB")


def test_the_report_of_the_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost_model.main(["fit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told["parameters"]] == [each.name for each in MODEL.provenance()]
    assert len(told["fitted"]) + len(told["held_out"]) == len(ROWS)
    assert {"measured", "predicted", "residual", "source", "spread"} <= set(told["held_out"][0])
    assert cost_model.main(["fit"]) == 0
    printed = capsys.readouterr().out
    assert f"{len(told['held_out'])} figures: median" in printed
