"""What editors are told of profiles and scenarios: shipped files fit it, and what numamig refuses mostly does not."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from numamig.cli.schema import schema_of
from numamig.resources import profiles_folder

FOLDER = profiles_folder()
PROFILES = sorted(FOLDER.glob("*.yaml"))
SCENARIOS = sorted((FOLDER / "scenarios").glob("*.yaml"))
DOCS = Path(__file__).parents[3] / "docs" / "profiles.md"
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "const", "pattern", "anyOf",
    "properties", "patternProperties", "additionalProperties", "propertyNames", "required", "items", "minItems",
    "minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength",
}  # fmt: skip
"""Keywords that are used, so that none is passed over here."""


def problems(schema: dict[str, Any], data: Any, root: dict[str, Any], at: str = "") -> list[str]:
    """What a validator of JSON Schema would say, for the keywords that are used here."""
    assert schema.keys() <= KNOWN, schema.keys() - KNOWN
    if "$ref" in schema:
        rest = problems(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], data, root, at)
        return rest + problems({key: value for key, value in schema.items() if key != "$ref"}, data, root, at)
    found: list[str] = []
    if "anyOf" in schema and all(problems(form, data, root, at) for form in schema["anyOf"]):
        found.append(f"{at}: none of {len(schema['anyOf'])} forms")
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(data, TYPES[kind]) or (isinstance(data, bool) and kind in ("integer", "number"))
    ):
        return [*found, f"{at}: no {kind}"]
    if "enum" in schema and data not in schema["enum"]:
        found.append(f"{at}: none of {schema['enum']}")
    if "const" in schema and (data != schema["const"] or isinstance(data, bool)):
        found.append(f"{at}: is not {schema['const']}")
    if isinstance(data, str):
        if "pattern" in schema and not re.search(schema["pattern"], data):
            found.append(f"{at}: does not fit {schema['pattern']}")
        if not schema.get("minLength", 0) <= len(data) <= schema.get("maxLength", 1 << 20):
            found.append(f"{at}: length")
    if isinstance(data, int | float) and not schema.get("minimum", data) <= data <= schema.get("maximum", data):
        found.append(f"{at}: out of range")
    if isinstance(data, list):
        if len(data) < schema.get("minItems", 0):
            found.append(f"{at}: too few")
        for number, each in enumerate(data):
            found += problems(schema.get("items", {}), each, root, f"{at}.{number}")
    if isinstance(data, dict):
        if not schema.get("minProperties", 0) <= len(data) <= schema.get("maxProperties", 1 << 20):
            found.append(f"{at}: number of keys")
        found += [f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in data]
        for key, value in data.items():
            inner = schema.get("properties", {}).get(str(key), schema.get("additionalProperties", True))
            if inner is False:
                found.append(f"{at}: unknown key {key}")
            elif isinstance(inner, dict):
                found += problems(inner, value, root, f"{at}.{key}")
    return found


def check(kind: str, data: Any) -> list[str]:
    schema = json.loads(schema_of(kind))
    return problems(schema, data, schema)


@pytest.mark.parametrize("kind", ["profile", "scenario"])
def test_what_is_shipped_is_what_the_command_prints(kind: str) -> None:
    assert (FOLDER / "schema" / f"{kind}.json").read_text() == schema_of(kind), (
        f"python -m numamig schema {kind} > profiles/schema/{kind}.json"
    )


@pytest.mark.parametrize("path", PROFILES + SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_file_names_its_schema_and_fits_it(path: Path) -> None:
    text = path.read_text()
    (named,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", text, re.MULTILINE)
    kind = "scenario" if path in SCENARIOS else "profile"
    assert (path.parent / named).resolve() == (FOLDER / "schema" / f"{kind}.json").resolve()
    assert check(kind, yaml.safe_load(text)) == []


def test_the_examples_of_the_docs_fit_it() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL):
        data = yaml.safe_load(example)
        assert check("profile", data if isinstance(data, dict) else {"numamig": 1, "steps": data}) == []


GOOD: dict[str, Any] = {
    "numamig": 1,
    "variables": {"target": 1, "later": None},
    "steps": [
        {
            "migrate": {
                "process": {"name": "db", "which": "largest"},
                "pages": {"from": "0,2", "kind": ["anon"], "at_least": "16MiB", "heat": ">= 50%", "most": 512},
                "to": 1,
                "order": {"mode": "random", "seed": 7},
                "batch": {"pages": 512, "budget": "5ms", "rate": "200MiB/s"},
                "limits": {"busy": "50%", "bounced": "none"},
            }
        },
        {"wait": "2s"},
        {"expect": {"moved": ">= 95%"}},
    ],
}
M = ("steps", 0, "migrate")


def changed(place: tuple[str | int, ...], value: Any) -> Any:
    data = copy.deepcopy(GOOD)
    holder: Any = data
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value
    return data


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((*M, "to"), "${target}"),
        ((*M, "to"), {"interleave": "1,2"}),
        ((*M, "to"), {"weights": {1: 3, 2: "${w:-1}"}}),
        ((*M, "to"), {"map": {0: 2}}),
        ((*M, "to"), {"follow": "cpus"}),
        ((*M, "order"), "hottest"),
        ((*M, "order"), "${order}"),
        ((*M, "batch", "rate"), "${rate}MiB/s"),
        ((*M, "pages", "kind"), "heap"),
        ((*M, "pages", "huge"), "${huge}"),
        ((*M, "pages", "address"), "0x7f00-0x8f00"),
        (("steps", 1), {"wait": {"until": {"free": {1: "4GiB"}}, "at_most": "1min"}}),
        (("steps", 1), {"undo": {"step": 1}}),
        (("steps", 1), {"include": "other.yaml"}),
        (("steps", 1), {"repeat": {"times": 2, "steps": [{"wait": "1s"}]}}),
    ],
)
def test_all_that_may_be_written_fits(place: tuple[str | int, ...], value: Any) -> None:
    assert check("profile", changed(place, value)) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("numamig",), 2),
        (("stepps",), []),
        (("steps",), []),
        ((*M, "to"), -1),
        ((*M, "to"), "node 1"),
        ((*M, "to"), {"interleave": "1,2", "follow": "cpus"}),
        ((*M, "too"), 1),
        ((*M, "pages", "kind"), "special"),
        ((*M, "pages", "at_least"), "16 MB of it"),
        ((*M, "pages", "from"), "0-"),
        ((*M, "batch", "budget"), 5),
        ((*M, "batch", "pages"), 0),
        ((*M, "limits", "busy"), 0.5),
        (("steps", 1, "wait"), "2 fortnights"),
        (("steps", 1, "migrate"), {"to": 1}),
        (("steps", 2, "expect", "moved"), "a lot"),
    ],
)
def test_what_is_refused_does_not_fit(place: tuple[str | int, ...], value: Any) -> None:
    assert check("profile", changed(place, value)) != []


@pytest.mark.parametrize("kind", ["profile", "scenario"])
def test_everything_is_described_and_nothing_is_passed_over(kind: str) -> None:
    schema = json.loads(schema_of(kind))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, each in [("", schema), *schema["$defs"].items()]:
        assert each.get("description"), name
        if each.get("type") == "object":
            assert each["additionalProperties"] is False, name
    if kind == "profile":
        undescribed = [
            f"{name}.{key}"
            for name, each in [("", schema), *schema["$defs"].items()]
            for key, part in each.get("properties", {}).items()
            if "description" not in part
        ]
        assert [each for each in undescribed if not each.startswith("Expect.")] == []
