"""A table of page frames against the kernel: one that is wrong is found, for any node."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.calibration import table_agrees
from numamig.backends.linux.frames import UNCLEAR, FrameTable, read_frame_table
from numamig.backends.linux.ownpages import learn_zero_frames, private_pages
from numamig.backends.linux.pagereaders import Ask
from numamig.backends.linux.syscalls import MBIND_NUMBERS, MOVE_PAGES_NUMBERS, SET_MEMPOLICY_NUMBERS, prefer_node

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    backend = LinuxBackend()
    if not backend.readers.sees_frames:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")
    return backend


def agrees(backend: LinuxBackend, table: FrameTable, nodes: tuple[int, ...], ask: Ask | None = None) -> bool:
    huge = backend.topology().huge_page_size
    zero = learn_zero_frames(backend.proc_root, huge)
    return table_agrees(table, zero, backend.proc_root, ask or backend.readers.ask, PAGE, huge, nodes)


def table_of(backend: LinuxBackend) -> FrameTable:
    return read_frame_table(backend.sys_root, backend.proc_root, PAGE)


def test_the_table_of_this_machine(backend: LinuxBackend) -> None:
    nodes = backend.topology().memory_nodes
    assert agrees(backend, table_of(backend), nodes)
    assert agrees(backend, table_of(backend), (*nodes, 1023, 4096)), "nodes that nothing can be had from"


def test_a_node_that_is_taken_for_another(backend: LinuxBackend) -> None:
    table, nodes = table_of(backend), backend.topology().memory_nodes
    for node in nodes:
        wrong = replace(table, nodes=np.where(table.nodes == node, 99, table.nodes).astype(np.int16))
        assert not agrees(backend, wrong, nodes)


def test_a_table_that_says_nothing_is_of_no_use(backend: LinuxBackend) -> None:
    table = table_of(backend)
    assert not agrees(backend, replace(table, nodes=np.full_like(table.nodes, UNCLEAR)), (0,))


def test_where_move_pages_may_not_be_called_nothing_speaks_against_it(backend: LinuxBackend) -> None:
    def refuse(pid: int, addresses: np.ndarray) -> MovePagesReturn:
        return MovePagesReturn(-1, errno.EPERM, np.full(len(addresses), -1, np.int32))

    assert agrees(backend, table_of(backend), backend.topology().memory_nodes, refuse)


def test_preferring_a_node() -> None:
    assert MBIND_NUMBERS.keys() == SET_MEMPOLICY_NUMBERS.keys() == MOVE_PAGES_NUMBERS.keys()
    backend = LinuxBackend()
    for node in backend.topology().memory_nodes:
        with private_pages(4 * PAGE) as own:
            assert prefer_node(own.address, 4 * PAGE, node)
            own.bytes_[::PAGE] = 1
            where = own.address + np.arange(4, dtype=np.uint64) * np.uint64(PAGE)
            assert backend.move_pages(0, where, None).status.tolist() == [node] * 4
    with private_pages(PAGE) as own:
        assert not prefer_node(own.address, PAGE, 1023)
        assert not prefer_node(own.address, PAGE, 4096)
