"""``numamig doctor``: what works here, what does not, why, and what helps."""

from __future__ import annotations

import click

from numamig.cli.narrate import finding_line
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.errors import ExitCode
from numamig.model.finding import Severity

__all__ = ["command"]


@numamig_command("doctor")
def command(shared: Shared, as_json: bool) -> int:
    """What this kernel, these rights and this container allow, by trying it out.

    \b
    Examples:
      numamig doctor
      sudo numamig doctor
      numamig doctor --json

    Exit code: 0, or 3 where pages cannot be moved at all.
    """
    from numamig.backends.base import Diagnosing

    backend = shared.open()
    findings = backend.diagnose() if isinstance(backend, Diagnosing) else []
    capabilities = backend.capabilities
    if as_json:
        print_json(
            {
                "backend": backend.name,
                "machine": capabilities.machine,
                "kernel": capabilities.kernel,
                "user": capabilities.user,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    else:
        click.echo(f"{capabilities.machine} · {capabilities.kernel} · as {capabilities.user}")
        for finding in findings:
            click.echo(finding_line(finding))
    return ExitCode.REFUSED if any(f.severity is Severity.ERROR for f in findings) else ExitCode.DONE
