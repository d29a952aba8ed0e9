"""The tables of keys in docs/console.md, made from the registry: ``python -m tests.tui.keytables`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tui.actions import ACTIONS
from tui.actions.action import MOST_NODES, Action, keys_text
from tui.actions.dialogs import DIALOGS

__all__ = ["BEGIN", "END", "tables", "written"]

BEGIN, END = "<!-- keys: python -m tests.tui.keytables -->", "<!-- end of keys -->"
_NAMES = {
    "move": "Moving about",
    "lists": "Lists",
    "map": "Page map",
    "node": "Nodes",
    "job": "Jobs",
    "view": "The console itself",
}


def tables() -> str:
    """Markdown: a table for each group, then one for each dialog."""
    groups = dict.fromkeys(action.group for action in ACTIONS)
    parts = [_table(_NAMES.get(group, group), [a for a in ACTIONS if a.group == group]) for group in groups]
    parts += [_table(f"In the dialog: {name}", actions) for name, actions in DIALOGS.items()]
    return "\n\n".join(parts)


def _table(heading: str, actions: list[Action] | tuple[Action, ...]) -> str:
    lines = [f"**{heading}**", "", "| keys | |", "|---|---|"]
    for action in actions:
        digits = action.method in ("spotlight", "node")
        if digits and action.argument in range(1, MOST_NODES):
            continue
        keys = " ".join(f"`{key}`" for key in keys_text(action).split())
        text = action.help.replace("node 0", "that node")
        lines.append(f"| {'`0` to `9`' if digits else keys} | {text} |".replace("|`", "\\|`"))
    return "\n".join(lines)


def written(document: str) -> str:
    """The document, with the tables as they are now."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "docs" / "console.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
