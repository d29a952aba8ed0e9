"""What will stop a job, and what speaks against it: found out before it starts, and again when it goes on.

What is cheap comes first; where that finds an error nothing dearer is looked at. docs/preflight.md lists every check.
"""

from __future__ import annotations

from numamig.migrate.preflight.looks import Seen, check, look, recheck
from numamig.migrate.preflight.rights import demand_node, demand_process, demand_shared

__all__ = ["Seen", "check", "demand_node", "demand_process", "demand_shared", "look", "recheck"]
