"""JSON Schema (draft 2020-12) of a pydantic model, as the YAML language server of an editor reads it."""

from __future__ import annotations

import ast
import inspect
import sys
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

__all__ = ["DURATION", "RATE", "SHARE", "SIZE", "Also", "json_schema", "written"]

_NUMBER = r"\s*\d+(\.\d+)?\s*"
_BYTES = "([kmgtKMGT]([iI]?[bB])?|[bB])?"
_PERCENT = r"\d{1,3}(\.\d+)?\s*%"
_VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^${}]*)?\}"
_SCALARS = ("string", "integer", "number", "boolean", "null")


def written(*patterns: str, number: str | None = "integer", least: int = 0) -> WithJsonSchema:
    """What is written as a text of one of these patterns, or as a bare number, and is something else when it is read.

    :param number: the kind of bare number; None: there must be more to it
    """
    forms: list[dict[str, Any]] = [{"type": "string", "pattern": f"^{pattern}$"} for pattern in patterns]
    if number is not None:
        forms.append({"type": number, "minimum": least})
    return WithJsonSchema(forms[0] if len(forms) == 1 else {"anyOf": forms})


class Also:
    """What may be written in a short form besides the one that a model describes.

    :param forms: JSON Schema of the short forms
    """

    def __init__(self, *forms: dict[str, Any]) -> None:
        self._forms = forms

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        whole = handler(core_schema)
        return {"anyOf": [*self._forms, *(whole["anyOf"] if set(whole) == {"anyOf"} else [whole])]}


SIZE = written(_NUMBER + _BYTES + r"\s*")
RATE = written(_NUMBER + _BYTES + r"(/s)?\s*", least=1)
DURATION = written(_NUMBER + r"(ns|us|µs|ms|s|m|min|h)\s*", number=None)
SHARE = written(r"\s*" + _PERCENT + r"\s*", number=None)


def json_schema(model: type[BaseModel], title: str, *, variables: bool = False) -> dict[str, Any]:
    """Descriptions are the docstrings of classes and attributes.

    :param variables: ``${name}`` may be written wherever a scalar may
    """
    schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    _describe(schema, model)
    for each in _models(model):
        if each.__name__ in definitions:
            _describe(definitions[each.__name__], each)
    if variables:
        schema = _with_variables(schema)
        definitions = schema["$defs"]
        definitions["Variable"] = {
            "type": "string",
            "pattern": _VARIABLE,
            "description": "${name}, or ${name:-value} with what it is where nothing says otherwise.",
        }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **{key: value for key, value in _tidy(schema).items() if key != "title"}}


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """All that are made of the same base, in the modules that are loaded: a schema names them by their names."""
    found: list[type[BaseModel]] = [model]
    base = model.__mro__[1]
    for each in found if base is BaseModel else [base]:
        waiting: list[type[BaseModel]] = list(each.__subclasses__())
        while waiting:
            found.append(waiting.pop())
            waiting.extend(found[-1].__subclasses__())
    return found


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    if model.__doc__:
        schema["description"] = inspect.cleandoc(model.__doc__)
    said: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            said |= _attribute_docstrings(each)
    for name, info in model.model_fields.items():
        part = schema.get("properties", {}).get(info.alias or name)
        if part is not None and name in said:
            part["description"] = said[name]


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Of a class, as written below its attributes."""
    module = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    found: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            for before, after in zip(node.body, node.body[1:], strict=False):
                text = after.value if isinstance(after, ast.Expr) else None
                attribute = before.target if isinstance(before, ast.AnnAssign) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str) and isinstance(attribute, ast.Name):
                    found[attribute.id] = inspect.cleandoc(text.value)
    return found


def _with_variables(schema: Any) -> Any:
    """The same, with a variable as good as any scalar."""
    if isinstance(schema, list):
        return [_with_variables(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {
        key: {name: _with_variables(each) for name, each in value.items()}
        if key in ("properties", "patternProperties", "$defs")
        else _with_variables(value)
        if key in ("items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties")
        else value
        for key, value in schema.items()
    }
    narrow = "const" in inner or "enum" in inner or inner.get("type") in ("integer", "number", "boolean")
    if narrow or (inner.get("type") == "string" and "pattern" in inner):
        outer = {key: inner.pop(key) for key in ("description", "default", "title") if key in inner}
        return {**outer, "anyOf": [inner, {"$ref": "#/$defs/Variable"}]}
    return inner


def _tidy(schema: Any, *, names: bool = False) -> Any:
    """Without titles that pydantic makes of names, and without the None of what may be left out: nobody writes that.

    :param names: the keys are names of a file, not of JSON Schema
    """
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        key: _tidy(value, names=key in ("properties", "patternProperties", "$defs") and not names)
        for key, value in schema.items()
        if names or key not in ("title", "discriminator")
    }
    if not names and "default" in result and _is_odd(result):
        del result["default"]
    if not names and "default" in schema and schema["default"] is None:
        result["anyOf"] = [form for form in result.get("anyOf", []) if form != {"type": "null"}]
        if not result["anyOf"]:
            del result["anyOf"]
    if not names and len(forms := result.get("anyOf", ())) == 1:
        result = {key: value for key, value in result.items() if key != "anyOf"} | forms[0]
    if not names and any(set(form) == {"anyOf"} for form in result.get("anyOf", ())):
        flat: list[Any] = []
        for form in result["anyOf"]:
            flat += [each for each in (form["anyOf"] if set(form) == {"anyOf"} else [form]) if each not in flat]
        result["anyOf"] = flat
    return result


def _is_odd(schema: dict[str, Any]) -> bool:
    """Whether what is meant by default is not written like that: nothing, a whole mapping, or a number of units."""
    default = schema["default"]
    forms = [schema, *schema.get("anyOf", ())]
    return default is None or isinstance(default, dict | list) or any("pattern" in form for form in forms)
