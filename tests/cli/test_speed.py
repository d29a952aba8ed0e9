"""``--speed``: virtual time before an audience, and a clear no where time is the wall's."""

from __future__ import annotations

import json
import time

import pytest

from tests.cli.conftest import Numamig

MOVE = ("move", "10", "--from", "0", "--to", "1", "--rate", "16MiB/s", "--json")


def timed(numamig: Numamig, *arguments: str) -> tuple[dict[str, object], float]:
    began = time.monotonic()
    done = numamig.small(*arguments)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout), time.monotonic() - began


def test_a_command_takes_no_time_unless_a_pace_is_asked_for(numamig: Numamig) -> None:
    # 12 MiB at 16 MiB/s: three quarters of a second of the machine's time.
    at_once, _ = timed(numamig, *MOVE)
    half, half_s = timed(numamig, *MOVE, "--speed", "0.5x")
    said_before, twice_s = timed(numamig, "--speed", "2x", *MOVE)
    assert half["outcomes"] == at_once["outcomes"] == said_before["outcomes"]
    assert half_s > 1.4
    assert twice_s > 0.35
    later, _ = timed(numamig, "--speed", "0.001x", *MOVE, "--speed", "max")
    assert later == at_once


def test_steps_are_the_same_at_every_pace(numamig: Numamig) -> None:
    # Nothing acts by itself here: so the figures of the machine's time are the same too.
    plain = ("move", "10", "--from", "0", "--to", "1", "--json")
    assert timed(numamig, *plain)[0] == timed(numamig, *plain, "--speed", "20x")[0]


@pytest.mark.parametrize("arguments", [("--speed", "10x", "move"), ("move", "--speed", "10x")])
def test_this_machines_time_has_no_pace(numamig: Numamig, arguments: tuple[str, ...]) -> None:
    done = numamig("--backend", "linux", *arguments, "1", "--to", "0")
    assert done.returncode == 2
    assert "--speed is for virtual time" in done.stderr and "add --backend simulator" in done.stderr


@pytest.mark.parametrize("speed", ["fast", "0", "-1x"])
def test_what_is_no_speed_is_said(numamig: Numamig, speed: str) -> None:
    done = numamig.small("move", "10", "--to", "1", "--speed", speed)
    assert done.returncode == 2 and "max" in done.stderr and "Traceback" not in done.stderr
