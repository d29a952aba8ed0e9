"""The page map, and the nodes."""

from __future__ import annotations

from tui.actions.action import MAP, MOST_NODES, Action
from tui.actions.when import in_panes

__all__ = ["MAPPING"]


def _spot(node: int) -> Action:
    return Action(
        f"spotlight-{node}",
        str(node),
        "spotlight",
        "spot",
        f"show only node {node} in colour, and again",
        "node",
        node,
        applies=lambda s: node in s.nodes,
    )


MAPPING: tuple[Action, ...] = (
    Action(
        "range",
        "v",
        "range",
        "range",
        "begin a range, or mark the one that is open",
        "map",
        applies=in_panes(MAP),
        say=lambda s: "mark range" if s.ranging else "range",
        rank=25,
    ),
    Action(
        "seek-next",
        "n",
        "seek",
        "next",
        "to the next run of remote pages, or of what is lit",
        "map",
        1,
        applies=in_panes(MAP),
        rank=34,
        shown="n N",
    ),
    Action("seek-previous", "N", "seek", "previous", "to the run before", "map", -1, applies=in_panes(MAP)),
    Action(
        "front",
        "F",
        "front",
        "follow",
        "go along with the job that is at work here",
        "map",
        applies=lambda s: s.pane == MAP and s.front,
        rank=23,
    ),
    Action(
        "zoom-in",
        "plus,equals_sign",
        "zoom",
        "zoom",
        "four times closer",
        "map",
        1,
        applies=in_panes(MAP),
        rank=31,
        shown="+ -",
    ),
    Action("zoom-out", "minus", "zoom", "zoom out", "four times farther", "map", -1, applies=in_panes(MAP)),
    Action(
        "fit",
        "f",
        "fit",
        "fit",
        "all of the process in view",
        "map",
        applies=lambda s: s.pane == MAP and not s.fits,
        rank=36,
    ),
    Action(
        "lens-next",
        "o",
        "lens",
        "lens",
        "the next lens: home, node, kind, stay, heat",
        "map",
        1,
        applies=in_panes(MAP),
        rank=35,
        shown="o O",
    ),
    Action("lens-previous", "O", "lens", "lens back", "the lens before", "map", -1, applies=in_panes(MAP)),
    *(_spot(node) for node in range(MOST_NODES)),
    Action(
        "spotlight-pick",
        "number_sign",
        "pick_node",
        "node",
        "the same of any node, by its number",
        "node",
        applies=lambda s: len(s.nodes) > MOST_NODES,
        rank=41,
        types_ahead=True,
    ),
)
