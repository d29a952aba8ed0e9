"""What keys do to jobs: they ask the bridge, and what came of it is said when it is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from numamig.migrate.destination import Destination
from numamig.migrate.snapshot import JobSnapshot, JobState
from tui.dialogs.again import first_address, form_again, target_again
from tui.dialogs.drain import DrainDialog, Drained
from tui.dialogs.earlier import EarlierDialog
from tui.dialogs.edit import EditDialog, Edited
from tui.dialogs.ledger import Account, Chosen, LedgerDialog
from tui.dialogs.ledgerlines import Part
from tui.dialogs.plan import Accepted, PlanDialog
from tui.dialogs.save import SaveDialog
from tui.dialogs.undo import UndoDialog
from tui.plans.choice import Target
from tui.plans.fields import BATCHES, BUDGETS, beside, budget_text
from tui.screens.looking import LookingScreen
from tui.threads.acts import Said
from tui.threads.earlier import EarlierJob
from tui.threads.snapshots import Identity
from tui.widgets.jobwords import SLOW_S
from tui.words.present import command_line, drain_command, resume_command, undo_command

__all__ = ["ActingScreen"]


class ActingScreen(LookingScreen):
    """Nothing here waits: neither for the machine, nor for the journal."""

    _sought: tuple[Identity, int] | None = None
    """A process, and the address that its map is to show."""

    # New jobs

    def targets(self) -> tuple[Target, ...]:
        """What a plan would be for: what is marked, the region under the cursor, or the process.

        Of a process it is the class of pages that stands out on its map.
        """
        seen = self.processes.selected
        if self.active == "processes" and self.marks.processes:
            marked = [self.processes.seen(identity) for identity in sorted(self.marks.processes)]
            return tuple(Target(row) for row in marked if row is not None)
        if seen is None:
            return ()
        only, ranges = self.page_map.only, self.page_map.marked_ranges
        if self.regions.marked or ranges:
            return (Target(seen, self.regions.marked, ranges, only),)
        if self.active == "regions" and self.regions.selected is not None:
            return (Target(seen, (self.regions.selected,), only=only),)
        return (Target(seen, only=only),)

    def action_plan(self) -> None:
        seen, targets = self.bridge.looker.nodes, self.targets()
        if seen is not None and targets and seen.topology.memory_nodes:
            self.app.push_screen(PlanDialog(self.look, self.bridge, targets, seen.topology), self._planned)

    def _planned(self, accepted: Accepted | None) -> None:
        if accepted is not None:
            plans, run = accepted
            for plan in plans:
                command = command_line(plan.request, simulated=self.simulated)
                self.bridge.bring(partial(self._add, partial(self.bridge.orders.add, plan, run=run), command, run=run))

    def action_drain(self) -> None:
        seen = self.bridge.looker.nodes
        if seen is not None:
            self.app.push_screen(
                DrainDialog(self.look, self.bridge, seen.topology.memory_nodes, self.spot), self._drained
            )

    def _drained(self, drained: Drained | None) -> None:
        """The largest first, and each in its turn."""
        if drained is not None:
            node, plans = drained
            command = drain_command(node, shared=any(plan.request.shared for plan in plans), simulated=self.simulated)
            for plan in plans:
                self.bridge.bring(
                    partial(self._add, partial(self.bridge.orders.add, plan, run=True), command, run=True)
                )

    def action_undo(self) -> None:
        job = self.queue.undoable
        if job is None:
            return
        if job.state is JobState.RUNNING:
            self.say(Said(f"job {job.number} runs: pause it with p, then undo", is_error=True))
            return
        process = job.plan.process
        dialog = UndoDialog(self.look, self.bridge, job.number, (process.name, process.pid), job)
        self.app.push_screen(dialog, partial(self._undone, job.number))

    def action_ledger(self) -> None:
        job = self.queue.latest
        if job is not None:
            dialog = LedgerDialog(self.look, job.number, partial(self._account, job.number))
            self.app.push_screen(dialog, partial(self._ledger_chosen, job.number))

    def _ledger_chosen(self, number: int, chosen: Chosen | None) -> None:
        if chosen is None:
            return
        job = self._now(number)
        stayed = self.bridge.stayed(job.plan.process.identity)
        if isinstance(chosen, Part):
            address = first_address(job, stayed, chosen)
            if address is not None:
                self.show_address(job.plan.process.identity, address)
            return
        row, seen = self.processes.seen(job.plan.process.identity), self.bridge.looker.nodes
        if row is None or seen is None:
            self.say(Said(f"{job.plan.process.name} {job.plan.process.pid} is not there any more", is_error=True))
            return
        target = target_again(job, stayed, chosen, row)
        form = form_again(job, target, chosen, seen.topology)
        title = f"again: what stayed of job {number}"
        dialog = PlanDialog(self.look, self.bridge, (target,), seen.topology, title=title, form=form)
        self.app.push_screen(dialog, self._planned)

    def show_address(self, identity: Identity, address: int) -> None:
        """The cursor of the map on it, as soon as the map is that of the process."""
        if identity not in self.processes.keys:
            self.say(Said("its process is not among those that are shown", is_error=True))
            return
        self.processes.go_to(identity)
        self._sought = (identity, address)
        self.go_to_pane("map")

    def look_again(self) -> None:
        super().look_again()
        regions, ready = self.bridge.looker.regions, self.page_map.window.layout is not None
        if self._sought is not None and ready and regions is not None and regions.identity == self._sought[0]:
            address, self._sought = self._sought[1], None
            self.page_map.go_to(address)

    def _account(self, number: int) -> Account:
        return self._now(number), self.bridge.ledger(number), self.narrator.told_of(number)

    def action_save(self) -> None:
        jobs = len(self.queue.jobs)
        what = "what the 1 job here moved" if jobs == 1 else f"what the {jobs} jobs here moved"
        self.app.push_screen(SaveDialog(self.look, what), self._named)

    def _named(self, name: str | None) -> None:
        if name is not None:
            self.bridge.bring(partial(self._save, name))

    def _save(self, name: str) -> Said:
        left_out = self.bridge.save(Path(name))
        rest = f"; {left_out} moved nothing" if left_out else ""
        return Said(f"saved{rest}", f"numamig replay {name}")

    def action_earlier(self) -> None:
        self.app.push_screen(EarlierDialog(self.look, self.bridge), self._earlier_chosen)

    def _earlier_chosen(self, chosen: tuple[EarlierJob, bool] | None) -> None:
        if chosen is None:
            return
        job, goes_on = chosen
        if goes_on:
            command = resume_command(job.number, simulated=self.simulated)
            add = partial(self.bridge.orders.add_resume, job.number, run=False)
            self.bridge.bring(partial(self._add, add, command, run=False))
        else:
            dialog = UndoDialog(self.look, self.bridge, job.number, (job.name, job.pid))
            self.app.push_screen(dialog, partial(self._undone, job.number))

    def _undone(self, number: int, run: bool | None) -> None:
        if run is not None:
            command = undo_command(number, simulated=self.simulated)
            self.bridge.bring(
                partial(self._add, partial(self.bridge.orders.add_undo, number, run=run), command, run=run)
            )

    @staticmethod
    def _add(add: Callable[[], int], command: str, *, run: bool) -> Said:
        number = add()
        return Said(f"job {number} {'started' if run else 'held'}", command)

    # Jobs that are there

    def action_edit(self) -> None:
        job, seen = self.queue.acting, self.bridge.looker.nodes
        if job is not None and seen is not None:
            dialog = EditDialog(self.look, self.bridge, job, self.queue.steps.pace(job), seen.topology)
            self.app.push_screen(dialog, partial(self._edited, job.number, dialog.before))

    def _edited(self, number: int, before: Edited, now: Edited | None) -> None:
        if now is None or now == before:
            return
        if now.pace != before.pace:
            self.bridge.steer(partial(self.bridge.orders.set_pace, number, now.pace))
        if now.batch_pages != before.batch_pages:
            self.bridge.steer(partial(self.bridge.orders.set_batch, number, now.batch_pages))
        if now.to != before.to:
            self.bridge.bring(partial(self._retarget, number, now.to))

    def _retarget(self, number: int, to: Destination) -> Said:
        self.bridge.orders.retarget(number, to)
        return Said(f"the rest of job {number} goes {to.words}")

    def action_step(self) -> None:
        self._steer(self.bridge.orders.step)

    def action_run_pause(self) -> None:
        def run_or_hold(number: int) -> Said:
            return Said(f"job {number} {'runs' if self.bridge.orders.run_or_hold(number) else 'paused'}")

        self._steer(run_or_hold)

    def action_cancel(self) -> None:
        def cancel(number: int) -> Said | None:
            self.bridge.orders.cancel(number)
            jobs = self.bridge.jobs()
            in_kernel_s = self.bridge.steps(jobs).in_kernel_s.get(number, 0.0)
            return Said(f"job {number} cancels when its call returns") if in_kernel_s >= SLOW_S else None

        self._steer(cancel)

    def action_order(self, places: int) -> None:
        self._steer(lambda number: self.bridge.orders.shift(number, places))

    def action_priority(self, way: int) -> None:
        self._steer(lambda number: Said(f"job {number} has priority {self.bridge.orders.prioritise(number, way)}"))

    def action_batch(self, way: int) -> None:
        def set_batch(number: int) -> None:
            pages = self._now(number).batch_pages
            wanted = pages * 2 if way > 0 else pages // 2
            self.bridge.orders.set_batch(number, max(BATCHES[0], min(BATCHES[-1], wanted)))

        self._steer(set_batch)

    def action_budget(self, way: int) -> None:
        def set_budget(number: int) -> Said:
            job = self._now(number)
            pace = self.bridge.steps((job,)).pace(job)
            budget_ns = beside(BUDGETS, pace.budget_ns, way)
            self.bridge.orders.set_pace(number, pace._replace(budget_ns=budget_ns))
            return Said(f"job {number} budget {budget_text(budget_ns)}")

        self._steer(set_budget)

    def _now(self, number: int) -> JobSnapshot:
        return next(job for job in self.bridge.jobs() if job.number == number)

    def _steer(self, act: Callable[[int], Said | None]) -> None:
        """Something about the job that keys act on."""
        job = self.queue.acting
        if job is not None:
            self.bridge.steer(partial(act, job.number))
