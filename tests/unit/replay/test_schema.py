"""What a profile may say: what it comes to, and that nothing is passed over in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from numamig.errors import Fault, FileError
from numamig.migrate.breaker import Limits
from numamig.migrate.request import Retry, RetryMode
from numamig.replay.load import parse_profile
from numamig.replay.schema import Migrate, Profile
from numamig.yamlfile import parse_yaml

DOCS = Path(__file__).parents[3] / "docs" / "profiles.md"


def migrate(*lines: str) -> Migrate:
    """A step of a profile whose fifth line is the first of these."""
    text = ["numamig: 1", "steps:", "  - migrate:", "      process: {pid: 1}", *(f"      {line}" for line in lines)]
    profile = parse_yaml("profile.yaml", "\n".join([*text, "      to: 1", ""]).encode()).validate(Profile)
    (step,) = profile.steps
    assert step.migrate is not None
    return step.migrate


def faults(*lines: str) -> list[Fault]:
    with pytest.raises(FileError) as caught:
        migrate(*lines)
    return caught.value.faults


@pytest.mark.parametrize(
    ("said", "retry"),
    [
        ("{}", Retry()),
        ("{mode: never}", Retry(RetryMode.NEVER)),
        ("{passes: 5, backoff: 10ms}", Retry(passes=5, backoff_ns=10**7)),
        ("{deadline: 3s, mode: until}", Retry(RetryMode.UNTIL, deadline_ns=3 * 10**9)),
        ("{mode: until, backoff: 5s}", Retry(RetryMode.UNTIL, backoff_ns=5 * 10**9, most_backoff_ns=5 * 10**9)),
    ],
)
def test_a_retry_is_what_it_says(said: str, retry: Retry) -> None:
    assert migrate(f"retry: {said}").retry.settings() == retry


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (("retry:", "  deadline: 3s"), (6, "retry.deadline: is for mode: until, not for bounded")),
        (("retry:", "  deadline: 3s", "  mode: never"), (6, "retry.deadline: is for mode: until, not for never")),
        (("retry:", "  mode: until", "  passes: 3"), (7, "retry.passes: is for mode: bounded, not for until")),
        (("retry:", "  passes: 3", "  mode: never"), (6, "retry.passes: is for mode: bounded, not for never")),
        (
            ("retry:", "  mode: never", "  backoff: 1s"),
            (7, "retry.backoff: is for mode: bounded or until, not for never"),
        ),
        (("retry: {backoff: 1us}",), (5, "retry.backoff: is 1ms at least: a pass reads all that was busy again")),
        (("limits:", "  busy: 0.5"), (6, "limits.busy: write a number with a unit, or none for no limit")),
        (("limits:", "  busy: 150%"), (6, "limits.busy: '150%' is not a share")),
        (("limits:", "  bussy: 50%"), (6, "unknown key 'bussy': did you mean 'busy'?")),
        (("limits: {swapped_out: much}",), (5, "limits.swapped_out: 'much' is not a size")),
    ],
)
def test_what_says_nothing_or_nonsense_is_refused(lines: tuple[str, ...], fault: tuple[int, str]) -> None:
    (found,) = faults(*lines)
    assert (found.line, found.message.removeprefix("steps.0.migrate.")[: len(fault[1])]) == fault


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ("{}", Limits()),
        ("{busy: 50%}", Limits(busy=0.5)),
        ("{busy: none, swapped_out: none}", Limits(busy=None, swapped_out_bytes=None)),
        ("{stalled: 5.5%, bounced: 0%}", Limits(stalled=0.055, bounced=0.0)),
        ("{swapped_out: 1GiB}", Limits(swapped_out_bytes=1 << 30)),
    ],
)
def test_limits_are_what_they_say(said: str, limits: Limits) -> None:
    assert migrate(f"limits: {said}").limits.settings() == limits


def test_the_example_of_the_docs_is_a_profile() -> None:
    example, *recipes = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    profile, _ = parse_profile("docs/profiles.md", example.encode())
    assert [step.migrate is not None for step in profile.steps] == [True, False, False]
    for recipe in recipes:
        parse_profile("docs/profiles.md", f"numamig: 1\nsteps:\n{recipe}".encode())
    assert len(recipes) > 5


def test_the_docs_name_every_key_of_a_migration() -> None:
    page = DOCS.read_text()
    parts = [(name, field.annotation) for name, field in Migrate.model_fields.items()]
    inner = [name for _, model in parts for name in getattr(model, "model_fields", ())]
    for key in [name for name, _ in parts] + inner:
        assert re.search(rf"\b{key.rstrip('_')}\b", page), key
