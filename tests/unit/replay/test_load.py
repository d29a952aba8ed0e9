"""Profiles of several files and with variables: what comes of them, where faults are, and that nothing explodes."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from numamig.errors import FileError, UsageError
from numamig.replay.load import load_profile
from numamig.replay.schema import Profile
from numamig.replay.variables import literally


def written(folder: Path, **files: str) -> str:
    """The path of the first of these files, named as keys; ``numamig: 1`` comes first in each."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f"numamig: 1\n{text}")
    return str(folder / f"{next(iter(files))}.yaml")


def load(folder: Path, *settings: str, **files: str) -> Profile:
    return load_profile(written(folder, **files), settings)[0]


def faults(folder: Path, *settings: str, **files: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        load(folder, *settings, **files)
    return [line.replace(f"{folder}/", "") for line in caught.value.message.split("\n")]


def migrate(folder: Path, step: str, variables: str = "{}", *settings: str) -> Any:
    profile = load(folder, *settings, a=f"variables: {variables}\nsteps:\n  - migrate: {step}\n")
    return profile.steps[0].migrate


@pytest.mark.parametrize(
    ("written_as", "variables", "settings", "name"),
    [
        ('"${n}"', "{n: db}", [], "db"),
        ('"${n}"', "{n: db}", ["n=web"], "web"),
        ('"${n}-${m}"', "{n: db, m: 2}", [], "db-2"),
        ('"${n:-other}"', "{}", [], "other"),
        ('"${n:-other}"', "{n: }", [], "other"),
        ('"${n:-other}"', "{n: db}", [], "db"),
        ('"$${n}"', "{}", [], "${n}"),
        ('"$n}"', "{}", [], "$n}"),
        ('"x${n}"', '{n: ""}', [], "x"),
        ('"${m}"', '{n: db, m: "${n}-2"}', [], "db-2"),
        ('"${n}"', '{n: "1"}', [], "1"),  # a text, for it is one there
        ('"${n}"', "{n: 1}", ['n="2"'], "2"),
        ('"1${n}"', "{n: 1}", [], "11"),  # in quotes: a text
    ],
)
def test_a_text_with_variables(tmp_path: Path, written_as: str, variables: str, settings: list[str], name: str) -> None:
    step = f"{{process: {{name: {written_as}}}, to: 1}}"
    assert migrate(tmp_path, step, variables, *settings).process.name == name


@pytest.mark.parametrize(
    ("to", "variables", "settings", "node"),
    [
        ("${n}", "{n: 2}", [], 2),
        ('"${n}"', "{n: 2}", [], 2),
        ("${n}", "{n: 2}", ["n=3"], 3),
        ("${n:-2}", "{}", [], 2),
        ("1${n}", "{n: 2}", [], 12),
        ('"${n}"', "{n: }", ["n=0"], 0),
    ],
)
def test_a_number_is_typed_after_variables_are_put_in(
    tmp_path: Path, to: str, variables: str, settings: list[str], node: int
) -> None:
    step = f"\n      process: {{pid: 1}}\n      to: {to}"
    assert migrate(tmp_path, step, variables, *settings).target.node == node


@pytest.mark.parametrize("name", ["${n}", "$${n}", "a${", "$", "${${n}}", "$$"])
def test_a_text_that_is_to_mean_itself(tmp_path: Path, name: str) -> None:
    assert migrate(tmp_path, f"{{process: {{name: '{literally(name)}'}}, to: 1}}").process.name == name


def test_keys_may_be_variables_too(tmp_path: Path) -> None:
    step = '{process: {pid: 1}, map: {"${from}": "${to}"}}'
    assert migrate(tmp_path, step, "{from: 0, to: 2}").target.map_ == {0: 2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${targt}", "a.yaml:5:15: variable 'targt' is not known: did you mean 'target'?"),
        ("${x}", "a.yaml:5:15: variable 'x' is not known; known here: empty, target"),
        ("${empty}", "a.yaml:5:15: variable 'empty' has no value: say --set empty=…, or ${empty:-value} here"),
        ("${tar get}", "a.yaml:5:15: '${tar get}' is no variable: write ${name} or ${name:-value}"),
        ("${target", "a.yaml:5:15: '${target' is no variable"),
        ("${target:-${empty}}", "a.yaml:5:15: '${target:-${empty}}' is no variable"),
        ("${target}x", "a.yaml:5:15: steps.0.migrate.to: write a node like 1"),
        ("${target:-}", ""),
    ],
)
def test_a_variable_that_cannot_be_is_told_at_its_place(tmp_path: Path, value: str, words: str) -> None:
    text = f"variables: {{target: 1, empty: }}\nsteps:\n  - migrate:\n          to: {value}\n"
    text += "          process: {pid: 1}\n"
    if not words:
        assert load(tmp_path, a=text).steps[0].migrate.target.node == 1  # type: ignore[union-attr]
        return
    (line,) = faults(tmp_path, a=text)
    assert line.startswith(words)


def test_a_fault_shows_what_is_written_and_what_came_of_it(tmp_path: Path) -> None:
    text = "variables: {size: lots}\nsteps:\n  - migrate: {process: {pid: 1}, to: 1, pages: {at_least: '${size}'}}\n"
    (line,) = faults(tmp_path, a=text)
    assert line == (
        "a.yaml:4:59: steps.0.migrate.pages.at_least: 'lots' is not a size (write it like 64MiB) (of '${size}')"
    )


def test_brackets_and_variables_without_quotes(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, a="steps:\n  - migrate: {to: ${target}}\n")
    assert line.startswith("a.yaml:3:") and line.endswith("between { } or [ ] put quotes around ${…}")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("targt=1", "a.yaml has no variable of that name (did you mean 'target'?)"),
        ("x=1", "has no variable of that name (it has target)"),
        ("target", "sets nothing"),
        ("=1", "sets nothing"),
        ("a b=1", "sets nothing"),
        ("target=" + "1" * 5000, "longer than 4,096"),
    ],
)
def test_a_setting_for_nothing_is_refused(tmp_path: Path, setting: str, words: str) -> None:
    text = "variables: {target: 1}\nsteps:\n  - wait: 1s\n"
    with pytest.raises(UsageError) as caught:
        load(tmp_path, setting, a=text)
    assert words in str(caught.value)


INNER = "variables: {target: 3}\nsteps:\n  - migrate:\n      process: {pid: 1}\n      to: ${target}\n"


@pytest.mark.parametrize(
    ("outer", "settings", "node"),
    [
        ("steps:\n  - include: b.yaml\n", [], 3),
        ("variables: {target: 2}\nsteps:\n  - include: b.yaml\n", [], 2),
        ("variables: {target: 2}\nsteps:\n  - include: b.yaml\n", ["target=4"], 4),
        ("steps:\n  - include: b.yaml\n", ["target=4"], 4),
        ("variables: {x: 5}\nsteps:\n  - include: {file: b.yaml, set: {target: '${x}'}}\n", ["target=4"], 5),
    ],
)
def test_an_included_file_has_its_variables_from_outside(
    tmp_path: Path, outer: str, settings: list[str], node: int
) -> None:
    (step,) = load(tmp_path, *settings, a=outer, b=INNER).steps
    assert step.include is not None and step.include.steps[0].migrate is not None
    assert step.include.steps[0].migrate.target.node == node


def test_files_are_beside_the_one_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    written(tmp_path / "more", c="steps:\n  - wait: 7s\n", b="steps:\n  - include: c.yaml\n")
    (step,) = load(tmp_path, a="steps:\n  - include: more/b.yaml\n").steps
    assert step.include is not None and step.include.steps[0].include is not None
    assert step.include.steps[0].include.steps[0].wait.for_ == 7 * 10**9  # type: ignore[union-attr]


def test_the_faults_of_all_files_are_told_each_with_its_file(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        a="titel: x\nsteps:\n  - include: b.yaml\n  - include: d.yaml\n  - migrate: {to: 1}\n",
        b="steps:\n  - migrate: {process: {pid: 0}, too: 1}\n  - include: c.yaml\n",
        c="steps:\n  - wait: ${x}\n",
    )
    assert [line.split(": ")[0] for line in found] == [
        "a.yaml:2:1", "a.yaml:5:14", "a.yaml:6:5", "b.yaml:3:30", "b.yaml:3:34", "c.yaml:3:11",
    ]  # fmt: skip
    assert found[0].endswith("unknown key 'titel': did you mean 'title'?")
    assert found[1].endswith("'d.yaml' cannot be included: No such file or directory")
    assert "process is missing" in found[2]
    assert found[4].endswith("unknown key 'too': did you mean 'to'?")


def test_who_needs_no_process_inside_of_for_each_needs_none_in_an_included_file(tmp_path: Path) -> None:
    inner = "steps:\n  - migrate: {to: 1}\n"
    block = "steps:\n  - for_each:\n      process: {user: ada}\n      steps:\n        - include: b.yaml\n"
    assert load(tmp_path, a=block, b=inner).steps[0].for_each is not None
    (line,) = faults(tmp_path, a="steps:\n  - include: b.yaml\n", b=inner)
    assert line.startswith("b.yaml:3:5: steps.0.migrate.process is missing (only inside of for_each is it left out)")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": "a"}, "a.yaml:3:14: 'a.yaml' includes itself: a.yaml → a.yaml"),
        ({"a": "b", "b": "c", "c": "a"}, "c.yaml:3:14: 'a.yaml' includes itself: a.yaml → b.yaml → c.yaml → a.yaml"),
        ({f"f{n}": f"f{n + 1}" for n in range(30)}, "f10.yaml:2:1: blocks of steps inside of each other, more than 10"),
    ],
)
def test_a_circle_of_files_ends(tmp_path: Path, files: dict[str, str], words: str) -> None:
    texts = {name: f"steps:\n  - include: {other}.yaml\n" for name, other in files.items()}
    (line,) = faults(tmp_path, **texts)
    assert line.startswith(words)


def test_files_that_double_are_bounded(tmp_path: Path) -> None:
    names = "abcdefghij"
    texts = {name: f"steps:\n  - include: {other}.yaml\n  - include: {other}.yaml\n" for name, other in pairwise(names)}
    found = faults(tmp_path, **texts, j="steps:\n  - wait: 1s\n")
    assert "is one file too many: 64 at most" in found[0]


@pytest.mark.parametrize("name", [".", "..", "/dev/zero", "pipe", "missing.yaml", "a\\0b", "x" * 300])
def test_what_is_no_file_is_not_included(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would take for ever
    (line,) = faults(tmp_path, a=f'steps:\n  - include: "{name}"\n')
    assert line.startswith("a.yaml:3:14: ")


def test_values_of_all_files_are_counted_together(tmp_path: Path) -> None:
    inner = "title: x\nsteps:\n" + "  - wait: 1s\n" * 3000
    texts = {"a": "steps:\n" + "  - include: b.yaml\n" * 5, "b": inner}
    assert any("more than 20,000 keys and values" in line for line in faults(tmp_path, **texts))


def test_variables_that_double_are_bounded(tmp_path: Path) -> None:
    doubling = "\n".join(f'  v{n + 1}: "${{v{n}}}${{v{n}}}"' for n in range(60))
    found = faults(tmp_path, a=f"title: '${{v60}}'\nvariables:\n  v0: '{'x' * 64}'\n{doubling}\nsteps:\n  - wait: 1s\n")
    assert any("comes to more than 4,096 characters" in line for line in found)
    many = "\n".join(f"  - include: 'nothing${{v}}{n}'" for n in range(400))
    found = faults(tmp_path, a=f"variables: {{v: '{'x' * 4000}'}}\nsteps:\n{many}\n")
    assert any("with this, variables come to more than 1,048,576 characters" in line for line in found)


def test_blocks_inside_of_blocks_are_bounded(tmp_path: Path) -> None:
    text, indent = "steps:\n", "  "
    for _ in range(12):
        text += f"{indent}- repeat:\n{indent}    times: 1\n{indent}    steps:\n"
        indent += "      "
    found = faults(tmp_path, a=f"{text}{indent}- wait: 1s\n")
    assert any("more than 10" in line for line in found)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("- undo: {step: 1}", "3:18: steps.0.undo.step: step 1 is not done before this one"),
        ("- wait: 1s\n- undo: {step: 1}", "4:18: steps.1.undo.step: step 1 of this list moves nothing"),
        ("- undo: {step: 0}", "steps.0.undo.step: input should be greater"),
        ("- undo: first", "steps.0.undo: input should be 'last' or 'all', not 'first'"),
        (
            "- repeat: {times: 200, steps: [{repeat: {times: 200, steps: [{wait: 1s}]}}]}",
            "that is 40,000 times: 10,000",
        ),
        ("- repeat: {times: 2, steps: []}", "steps.0.repeat.steps"),
        ("- wait:", "steps.0.wait: write wait: 2s"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {from: }}", "pages.from: says nothing"),
        ("- migrate: {process: {pid: 1, name: }, to: 1}", "process.name: says nothing"),
        ("- migrate: {process: {pid: 1}}", "say where to, once"),
        ("- migrate: {process: {pid: 1}, to: 1, follow: cpus}", "say where to, once"),
        ("- migrate: {process: {pid: 1}, to: {node: 1, follow: cpus}}", "say one of node, interleave"),
        ("- migrate: {process: {pid: 1}, map: {0: 0}}", "node 0 is mapped to itself"),
        ("- migrate: {process: {pid: 1}, weights: {0: 256}}", "weights.0: input should be less than or equal to 255"),
        ("- migrate: {process: {pid: 1}, weights: {}}", "weights: dictionary should have at least 1 item"),
        ("- migrate: {process: {pid: 1}, to: 1, order: warmest}", "should be 'address', 'hottest', 'coldest' or"),
        ("- migrate: {process: {pid: 1}, to: 1, order: {seed: 3}}", "order.seed: is for mode: random, not for address"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {heat: 50%}}", 'write a bound like ">= 50%"'),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {heat: {least: 60%, most: 50%}}}", "least is more than most"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {mapped: shared}}", "only with shared: true"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {most: 0}}", "must be more than nothing"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {most: 5 apples}}", "neither a number of pages nor a size"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {address: 0x2-0x1}}", "address range 0x2-0x1 is empty"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {address: [0x1-0x3, 0x2-0x4]}}", "ranges overlap at 0x2"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {at_least: 2M, at_most: 1M}}", "at_most is less than at_least"),
        ("- migrate: {process: {cmdline: '('}, to: 1}", "process.cmdline: is no regular expression"),
        ("- migrate: {process: {pid: 1}, to: 1, pages: {order: hottest}}", "it belongs beside 'pages', not into it"),
        ("- wait: {for: 1s, at_most: 2s}", "at_most and every are for until"),
        ("- wait: {until: {free: {}}}", "steps.0.wait.until.free"),
        ("- {wait: 1s, undo: all}", "a step is one of migrate, wait"),
        ("- for_each: {steps: [{migrate: {to: 1}}]}", "steps.0.for_each.process is missing"),
        ("- include: {file: b.yaml, steps: []}", "unknown key 'steps'; known here: file, set"),
        ("- expect: {chosen: '<= 5%'}", "steps.0.expect.chosen: is a number of pages"),
        (
            "- migrate: {process: {pid: 1}, to: 1, pages: {kind: shm}}",
            "should be 'anon', 'heap', 'stack', 'file', 'shmem' or 'hugetlb', not 'shm': did you mean 'shmem'?",
        ),
        ("- 5", "steps.0: write a mapping with keys such as expect"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, steps: str, words: str) -> None:
    indented = "\n".join(f"  {line}" for line in steps.split("\n"))
    found = faults(tmp_path, a=f"steps:\n{indented}\n")
    assert any(words in line for line in found), found
    assert len(found) <= 2, found
