"""Words and numbers as the console writes them; names that would do harm."""

from __future__ import annotations

from rich.cells import cell_len

from numamig.migrate.destination import Node
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.model.process import Region, RegionKind
from numamig.text import plain
from numamig.units import format_count, parse_duration, parse_rate
from tui.plans.fields import BUDGETS, beside
from tui.widgets.jobwords import flush_pages
from tui.words.fitting import fit
from tui.words.present import (
    clock_text,
    command_line,
    duration_text,
    estimated_share,
    region_label,
    remote_text,
    size_text,
    undo_command,
)


def test_every_character_takes_its_place_in_a_line() -> None:
    for code in (*range(0x3200), *range(0xD7B0, 0xE000), 0xFFA0, 0x1F600, 0xE0001, 0x10FFFF):
        for only_ascii in (False, True):
            shown = plain(chr(code), only_ascii=only_ascii)
            assert shown.isprintable() and cell_len(shown) >= 1, hex(code)
            assert shown.isascii() or not only_ascii


def test_fit_is_exact_in_cells() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, right=True) == "  abc"
    assert fit("abcdefgh", 5) == "abcd…"
    assert fit("abcdefgh", 5, keep_end=True) == "…efgh"
    for width in range(1, 9):
        assert cell_len(fit("数据库系统", width)) == width
    assert fit("abc", 0) == ""


def test_numbers() -> None:
    assert size_text(24 << 30, estimated=True) == "~24.0G"
    assert [format_count(n) for n in (512, 12_152, 1_090_000)] == ["512", "12.2k", "1.09M"]
    assert [duration_text(n) for n in (250e3, 4.6e6, 19e9, 185e9)] == ["250 us", "4.6 ms", "19 s", "3:05"]
    assert [remote_text(*pair) for pair in ((None, 5), (0, 5), (1, 500), (499, 500), (5, 5))] == [
        "-",
        "0%",
        "<1%",
        ">99%",
        "100%",
    ]
    assert clock_text(41_250_000_000) == "t+0:41.2"


def test_an_estimate_has_its_error() -> None:
    assert estimated_share(42, 100, 0.012) == "~42±2%"
    assert estimated_share(42, 100, 0.012, only_ascii=True) == "42+-2%"
    assert [estimated_share(*about) for about in ((42, 100, 1.0), (None, 100, 0.1), (0, 100, 0.004))] == [
        "~42%",
        "-",
        "~0±1%",
    ]


def test_region_labels() -> None:
    assert region_label(Region(0, 1, RegionKind.HEAP, "rw-p", "[heap]")) == "heap"
    assert region_label(Region(0, 1, RegionKind.ANON, "rw-p")) == "anon"
    assert region_label(Region(0, 1, RegionKind.SHMEM, "rw-s", "/dev/shm/a\x1bb")) == "shm a␛b"


def test_an_act_is_a_command() -> None:
    assert command_line(Request(7, Node(1)), simulated=False) == "numamig move 7 --to 1"
    request = Request(
        7,
        Node(1),
        sources=(0, 2),
        within=((0x1000, 0x3000),),
        shared=True,
        batch_pages=64,
        retry=Retry(RetryMode.NEVER),
    )
    assert command_line(request, simulated=True) == (
        "numamig --backend simulator move 7 --from 0,2 --to 1 --address 0x1000-0x3000 --shared --pages 64 --retry never"
    )
    gentle = Request(7, Node(1), budget_ns=500_000, rate=8 << 20)
    assert command_line(gentle, simulated=False) == "numamig move 7 --to 1 --budget 500us --rate 8MiB/s"
    assert (parse_duration("500us"), parse_rate("8MiB/s")) == (gentle.budget_ns, gentle.rate)
    assert undo_command(12, simulated=False) == "numamig undo 12"


def test_how_much_a_kernel_unmaps_at_a_time() -> None:
    kernels = ("6.1.0-56-amd64", "6.2.16", "6.3.0", "6.12.9+deb13-amd64", "linux-6.1", "linux-6.12", "ia64-2004-rescan")
    assert [flush_pages(kernel) for kernel in kernels] == [1, 1, 512, 512, 1, 512, 1]


def test_the_next_budget_from_any() -> None:
    assert beside(BUDGETS, None, -1) == 100_000_000 and beside(BUDGETS, None, 1) is None
    assert beside(BUDGETS, 7_000_000, 1) == 10_000_000 and beside(BUDGETS, 7_000_000, -1) == 5_000_000
    assert beside(BUDGETS, 500_000, -1) == 500_000 and beside(BUDGETS, 100_000_000, 1) is None
