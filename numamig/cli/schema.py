"""``numamig schema``: JSON Schema of profiles and scenarios, for the YAML language server of an editor."""

from __future__ import annotations

import json
from typing import Any

import click

from numamig.cli.options import Shared
from numamig.cli.options import command as numamig_command
from numamig.errors import ExitCode

__all__ = ["command", "schema_of"]


@numamig_command("schema")
@click.argument("kind", type=click.Choice(["profile", "scenario"]), default="profile")
def command(shared: Shared, kind: str, as_json: bool) -> int:
    """Print the JSON Schema (draft 2020-12) of profiles, or of scenarios.

    \b
    Examples:
      numamig schema > profile.json
      numamig schema scenario > scenario.json

    An editor with a YAML language server checks and completes a file whose first line names the schema:
    # yaml-language-server: $schema=profile.json
    It is JSON with or without --json, and the same on every machine.
    """
    del shared, as_json  # neither says anything here
    click.echo(schema_of(kind), nl=False)
    return ExitCode.DONE


def schema_of(kind: str) -> str:
    """The text of a schema; lines end as in a file."""
    from numamig.yamlschema import json_schema

    schema: dict[str, Any]
    if kind == "profile":
        from numamig.replay.schema import Profile

        schema = json_schema(Profile, "A profile of numamig, version 1", variables=True)
    else:
        from numamig.backends.simulator.scenario.schema import ScenarioFile

        schema = json_schema(ScenarioFile, "A scenario of numamig, version 1")
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
