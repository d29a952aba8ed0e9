"""numactl's node syntax."""

import pytest

from numamig.errors import UsageError
from numamig.model.nodeset import format_nodeset, parse_nodeset, parse_ranges

NODES = (0, 1, 2, 3, 8)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("0", (0,)),
        (2, (2,)),
        ("0,2-3", (0, 2, 3)),
        ("3,1", (1, 3)),
        ("all", NODES),
        ("!1", (0, 2, 3, 8)),
        ("!0-2", (3, 8)),
        (" 8 ", (8,)),
        ("+0", (0,)),
        ("+4", (8,)),
        ("+0,2-4", (0, 2, 3, 8)),
        ("!+0-3", (8,)),
    ],
)
def test_parses(text: str | int, nodes: tuple[int, ...]) -> None:
    assert parse_nodeset(text, NODES) == nodes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "a",
        "0-",
        "-1",
        "3-1",
        "0,,x",
        "1.5",
        "0-99999999999",
        "0x1",
        "!!1",
        "٣",
        "+",
        "!+",
        "+!1",
        "++1",
        "+-1",
    ],
)
def test_refuses_what_does_not_parse(text: str) -> None:
    with pytest.raises(UsageError, match="does not parse"):
        parse_nodeset(text, NODES)


def test_refuses_nodes_that_are_not_there() -> None:
    with pytest.raises(UsageError, match=r"node 4 does not exist or has no memory \(nodes with memory here: 0-3,8\)"):
        parse_nodeset("0-4", NODES)
    with pytest.raises(
        UsageError, match=r"there is no node \+5 \(\+0 is the first of 5 nodes with memory here: 0-3,8\)"
    ):
        parse_nodeset("+3-5", NODES)
    with pytest.raises(UsageError, match="names no node"):
        parse_nodeset("!0-3,8", NODES)


def test_formats_as_it_parses() -> None:
    assert format_nodeset(NODES) == "0-3,8"
    assert format_nodeset([]) == "none"
    assert parse_ranges("") == []
