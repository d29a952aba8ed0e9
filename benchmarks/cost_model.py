"""What moving pages costs: the simulator's model fitted to published figures, and asked for any other.

``python -m benchmarks.cost_model fit`` repeats the fit, and prints every parameter with its source and the residual of
every figure, fitted and held out. ``python -m benchmarks.cost_model predict --folio 256KiB --folios 512`` predicts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost_rows import GIGABYTE, ROWS, Quantity, Row
from numamig.backends.simulator.costs import Conditions, CostModel, Load
from numamig.backends.simulator.kernels import KERNELS
from numamig.errors import UsageError
from numamig.units import format_bytes, parse_size

__all__ = ["FIRST_GUESS", "Residual", "fit", "main", "predict", "predicted", "residuals"]

FIRST_GUESS = {
    "drain_ns": 25e3,
    "drain_cpu_ns": 200.0,
    "ipi_ns": 500.0,
    "folio_ns": 400.0,
    "pte_ns": 300.0,
    "far_pte_ns": 210.0,
    "copy_bytes_per_ns": 10.9,
    "copy_ceiling_bytes_per_ns": 38.0,
    "settling_ns": 2e6,
    "settling_bytes": 7e7,
}
"""The parameters that are fitted, and where the fit sets out from."""
_KERNELS = sorted(name for name in KERNELS if name.startswith("linux-"))
_ROUNDS = 200
_STEP = 1e-5
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Residual:
    """A figure, and what the model makes of it."""

    row: Row
    predicted: float

    @property
    def relative(self) -> float:
        """Predicted over measured, less one; 0 for a bound that holds."""
        if self.row.at_most and self.predicted <= self.row.measured:
            return 0.0
        return self.predicted / self.row.measured - 1


def predicted(model: CostModel, row: Row) -> float:
    """What the model says of one figure, in the figure's unit. The sources time calls that come after a pause."""
    conditions = Conditions(row.cpus, row.victim_cpus, row.copy_threads, copied_before_bytes=0)
    load = Load.of(row.folio_bytes, row.folios)
    call = model.duration(load, conditions)
    one_by_one = model.duration(load, replace(conditions, batch_pages=1))
    match row.quantity:
        case Quantity.RATE:
            return load.copied_bytes / call.total_ns
        case Quantity.SHARE:
            return call.copy_share
        case Quantity.DRAIN:
            return call.drain_ns / 1000
        case Quantity.SPEEDUP:
            return one_by_one.total_ns / call.total_ns
        case Quantity.INTERRUPTS:
            return 1 - call.interrupts / one_by_one.interrupts


def residuals(model: CostModel, *, fitted: bool) -> list[Residual]:
    """Of the figures that the model is fitted to, or of the others."""
    return [Residual(row, predicted(model, row)) for row in ROWS if bool(row.tolerance) == fitted]


def fit(rows: Sequence[Row] = ROWS) -> CostModel:
    """The parameters that make the weighted logarithms of predicted over measured least in square.

    Levenberg and Marquardt's method on the logarithms of the parameters, which so stay positive.
    """
    used = [row for row in rows if row.tolerance]
    names = list(FIRST_GUESS)

    def model(logarithms: NDArray[np.float64]) -> CostModel:
        return replace(CostModel(), **dict(zip(names, np.exp(logarithms).tolist(), strict=True)))

    def off(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
        at = model(logarithms)
        return np.array([np.log(predicted(at, row) / row.measured) / row.tolerance for row in used])

    here, damping = np.log(list(FIRST_GUESS.values())), 1e-3
    for _ in range(_ROUNDS):
        before = off(here)
        slopes = np.stack([(off(here + step) - before) / _STEP for step in np.eye(len(here)) * _STEP], axis=1)
        step = np.linalg.solve(slopes.T @ slopes + damping * np.eye(len(here)), -slopes.T @ before)
        if (off(here + step) ** 2).sum() < (before**2).sum():
            here, damping = here + step, max(damping / 3, 1e-9)
        else:
            damping *= 4
        if np.abs(step).max() < _CLOSE:
            break
    return model(here)


def predict(asked: argparse.Namespace) -> dict[str, object]:
    """One call, by the names that it has in JSON."""
    model = CostModel()
    try:
        folio_bytes = parse_size(asked.folio)
        folios = asked.folios or max(1, GIGABYTE // max(1, folio_bytes))
        load = Load.of(folio_bytes, folios)
    except ValueError as error:
        raise UsageError(str(error)) from None
    cpus = asked.cpus or model.cpus
    callers = _possible("callers", asked.callers, cpus)
    threads = _possible("copying threads", asked.threads, cpus)
    victims = _possible("CPUs that run the process besides the callers'", asked.victim_cpus, cpus - callers)
    conditions = Conditions(
        cpus=cpus,
        victim_cpus=victims,
        copy_threads=threads,
        mappers=asked.mappers,
        batch_pages=KERNELS[asked.kernel].batch_pages,
        copied_before_bytes=float("inf") if asked.settled else 0,
    )
    call = model.duration(load, conditions)
    if callers > 1:  # who copies at the same time shares what the links carry, as in the simulator
        each = model.copying(min(threads * callers, cpus)) / callers
        call = replace(call, copy_ns=load.copied_bytes / each)
    return {
        "folio_bytes": folio_bytes,
        "folios": folios,
        "callers": callers,
        "threads": threads,
        "cpus": cpus,
        "victim_cpus": victims,
        "mappers": asked.mappers,
        "kernel": asked.kernel,
        "gigabytes_per_second": callers * load.copied_bytes / call.total_ns,
        "seconds_per_call": call.total_ns / 1e9,
        "copy_share": call.copy_share,
        "interrupts": call.interrupts,
        "worst_stall_seconds": call.batches_ns / call.flushes / 1e9,
    }


def _possible(what: str, asked: int, most: int) -> int:
    """As many as there can be; says so where that is less than what was asked for."""
    if asked > most:
        print(f"{asked} {what} asked for, {most} are possible on so many CPUs", file=sys.stderr)
    return max(0, min(asked, most))


def report(*, as_json: bool) -> None:
    """Print parameters and residuals; these are of the model that the simulator uses, not of the one just fitted."""
    model, again = CostModel(), fit()
    tables = {kind: residuals(model, fitted=kind == "fitted") for kind in ("fitted", "held_out")}
    if as_json:
        parameters = [
            {**asdict(each), "refitted": getattr(again, each.name) if each.name in FIRST_GUESS else None}
            for each in model.provenance()
        ]
        rows = {
            kind: [{**asdict(r.row), "predicted": r.predicted, "residual": r.relative} for r in table]
            for kind, table in tables.items()
        }
        json.dump({"parameters": parameters, **rows}, sys.stdout, indent=2)
        print()
        return
    print(f"{'parameter':27}{'':6}{'value':>12} {'refitted':>12} {'unit':10}source")
    for parameter in model.provenance():
        name = parameter.name
        refitted = f"{getattr(again, name):12.4g}" if name in FIRST_GUESS else f"{'':12}"
        print(f"{name:27}{parameter.symbol:6}{parameter.value:12.4g} {refitted} {parameter.unit:10}{parameter.source}")
    for kind, table in tables.items():
        print(
            f"\n{kind.replace('_', ' '):11}{'folios':>8}{'threads':>9}{'measured':>16}{'predicted':>11}{'residual':>10}"
        )
        for each in table:
            row = each.row
            measured = f"{'<' if row.at_most else ''}{row.measured:.4g}" + (f" ±{row.spread:g}" if row.spread else "")
            print(
                f"{format_bytes(row.folio_bytes):11}{row.folios:8}{row.copy_threads:9}{measured:>16}"
                f"{each.predicted:11.4g}{each.relative:+10.1%}  {row.quantity}; {row.source}"
            )
        off = [abs(each.relative) for each in table]
        print(f"{len(off)} figures: median {statistics.median(off):.1%}, worst {max(off):.1%}")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _count_from_zero(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _mappers(text: str) -> float:
    number = float(text)
    if not 1 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a page that moves is mapped at least once")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.cost_model", description="What moving pages costs.")
    commands = parser.add_subparsers(dest="command", required=True)
    fitting = commands.add_parser("fit", help="fit the parameters again; print them, and all residuals")
    asking = commands.add_parser("predict", help="predict one call")
    asking.add_argument("--folio", default="4KiB", metavar="SIZE", help="4KiB to 2MiB (%(default)s)")
    asking.add_argument("--folios", type=_count, help="moved by the call (as many as make 1 GiB)")
    asking.add_argument(
        "--callers", type=_count, default=1, help="such calls at once, for other pages each (%(default)s)"
    )
    asking.add_argument(
        "--threads",
        type=_count,
        default=1,
        help="kernel threads that copy for each call, which no released kernel has more than one of (%(default)s)",
    )
    asking.add_argument("--cpus", type=_count, help=f"of the machine ({CostModel().cpus}, that of the sources)")
    asking.add_argument(
        "--victim-cpus", type=_count_from_zero, default=0, metavar="N", help="that run the process (%(default)s)"
    )
    asking.add_argument("--mappers", type=_mappers, default=1.0, help="page tables that map a page (%(default)s)")
    asking.add_argument("--kernel", choices=_KERNELS, default="linux-6.12", help="(%(default)s)")
    asking.add_argument("--settled", action="store_true", help="a call soon after others, instead of after a pause")
    for command in (fitting, asking):
        command.add_argument("--json", action="store_true", help="print JSON and nothing else to standard output")
    asked = parser.parse_args(arguments)
    if asked.command == "fit":
        report(as_json=asked.json)
        return 0
    try:
        answer = predict(asked)
    except UsageError as error:
        asking.error(str(error))
    if asked.json:
        print(json.dumps(answer, indent=2))
        return 0
    for name, value in answer.items():
        print(f"{name:22}{value:.4g}" if isinstance(value, float) else f"{name:22}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
