"""What is said of a job in words: how it stands, what it waits for, and what would help."""

from __future__ import annotations

import re

from numamig.migrate.pacing import stall_ns
from numamig.migrate.request import RetryMode
from numamig.migrate.snapshot import JobSnapshot, JobState
from tui.threads.snapshots import Steps

__all__ = ["HANGS", "SLOW_S", "call_p95_ns", "flush_pages", "job_notes", "job_stall_ns", "state_words"]

HANGS = "waiting for a call that does not return"
SLOW_S = 2.0
"""A step that takes longer is worth a word."""
_BATCHED_SINCE = (6, 3)
_BATCHED_PAGES = 512


def state_words(job: JobSnapshot, problem: str = "", steps: Steps = Steps()) -> str:
    """How it stands with a job."""
    call_s, step_s = (by_job.get(job.number, 0.0) for by_job in (steps.in_kernel_s, steps.in_step_s))
    if job.state.ended:
        return job.reason
    if job.number in steps.cancelling:
        return "cancels when its call returns" if call_s >= SLOW_S else "cancels after its step"
    if call_s >= SLOW_S:
        return f"in the kernel for {call_s:.0f} s"
    if step_s >= SLOW_S:
        return f"looking for pages for {step_s:.0f} s"
    if problem:
        return problem
    if job.state is JobState.HELD:
        return "held"
    if job.number not in steps.at_hand:
        return "waits" if steps.hanging is not None else "waits its turn"
    retry = job.request.retry
    return f"pass {job.passes}" + (f" of {retry.passes}" if retry.mode is RetryMode.BOUNDED else "")


def job_notes(job: JobSnapshot, problem: str = "", steps: Steps = Steps()) -> list[str]:
    """Sentences that do not fit into its line: why it stopped and what helps, what it waits for, its budget."""
    notes = []
    call_s = steps.in_kernel_s.get(job.number, 0.0)
    if call_s >= SLOW_S and job.number in steps.cancelling:
        notes.append(f"in the kernel for {call_s:.0f} s: what was begun there cannot be called back")
    if job.remedy:
        notes.append(f"{job.reason}: {job.remedy}")
    if problem:
        notes.append(problem)
    if job.budget_note and not job.state.ended:
        notes.append(job.budget_note)
    return notes


def call_p95_ns(job: JobSnapshot) -> int:
    """Of its latest calls; 0 before the first."""
    calls = sorted(job.call_ns)
    return calls[min(len(calls) - 1, len(calls) * 95 // 100)] if calls else 0


def job_stall_ns(job: JobSnapshot, flush: int) -> int | None:
    """How long a thread is predicted to wait that touches a page under migration; None before anything is known.

    :param flush: base pages that the kernel unmaps at a time
    """
    if job.plan.estimated_stall_ns is not None:
        return job.plan.estimated_stall_ns
    return stall_ns(call_p95_ns(job), job.batch_pages, flush) if job.call_ns else None


def flush_pages(kernel: str) -> int:
    """Base pages that a kernel unmaps at a time: one small folio before Linux 6.3, and in 2004."""
    version = re.search(r"(\d+)\.(\d+)", kernel)
    batched = version is not None and (int(version[1]), int(version[2])) >= _BATCHED_SINCE
    return _BATCHED_PAGES if batched else 1
