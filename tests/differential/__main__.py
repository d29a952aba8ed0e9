"""The differential test: ``python -m tests.differential --kernel 6.1 --kernel 6.12 --calls 5000 --seed N``.

Random cases on real kernels in the laboratory and on the simulator; 0 only where all answers agree, and all that must
occur has occurred.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from numamig.errors import NumamigError
from tests.differential.contest import Contest
from tests.differential.kept import kept_cases
from tests.differential.laboratory import hold_talk

__all__ = ["main"]

DEFAULT_SEED = 20041123


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    _narrate(f"seed {options.seed}")
    return max([_run(series, options) for series in options.kernel or ["6.1", "6.12"]])


def _run(series: str, options: argparse.Namespace) -> int:
    def narrate(line: str) -> None:
        _narrate(f"linux {series}: {line}")

    start = time.monotonic()
    contest = Contest(f"linux-{series}", options.seed, options.calls, kept_cases(), narrate, record=options.record)
    try:
        status = hold_talk(series, contest.talk(), options.timeout, narrate)
    except NumamigError as error:
        narrate(f"error: {error}")
        return int(error.exit_code)
    coverage = contest.coverage
    print(coverage, flush=True)
    wrong, missing = len(contest.failures), coverage.missing() if not options.partial else []
    narrate(
        f"seed {options.seed}: {coverage.calls} calls, {coverage.addresses} addresses, {wrong} disagreements,"
        f" {len(contest.unsteady)} cases that the kernel itself answers in two ways;"
        f" {contest.calls_seconds:.0f} s of calls, {time.monotonic() - start:.0f} s in all"
    )
    for what in missing:
        narrate(f"never occurred: {what}")
    if not contest.finished:
        narrate(f"the executor ended with status {status}")
    return int(bool(wrong or missing or not contest.finished))


def _narrate(line: str) -> None:
    print(f"differential: {line}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--kernel", action="append", metavar="SERIES", help="such as 6.1; may be repeated; default both"
    )
    parser.add_argument("--calls", type=int, default=5000, help="random calls on each kernel (default %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of all cases (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=1200, metavar="SECONDS", help="for each kernel, boot included")
    parser.add_argument("--record", action="store_true", help="write what each kernel answers into the kept cases")
    parser.add_argument("--partial", action="store_true", help="do not insist that everything occurs: for short runs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
