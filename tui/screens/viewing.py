"""What keys and the palette do to the console itself: help, freeze, size, theme, what is kept of it."""

from __future__ import annotations

import time
from functools import partial

from numamig.errors import NumamigError
from tui.dialogs.confirm import Confirm
from tui.dialogs.help import Help, keys_here
from tui.dialogs.home import HomeDialog
from tui.screens.finding import FindingScreen
from tui.screens.report import Seen, report
from tui.style.themed import ThemedApp
from tui.threads.acts import Said
from tui.threads.held import Held
from tui.words.keeping import keep
from tui.words.present import clock_text

__all__ = ["ViewingScreen"]

_LONGEST = 300
"""Characters of a notice: a process may choose a long name."""


class ViewingScreen(FindingScreen):
    """The picture as a whole; no job is touched."""

    def action_help(self) -> None:
        self.app.push_screen(Help(self.look, keys_here(self.situation())))

    def action_command_palette(self) -> None:
        self.app.action_command_palette()

    async def action_quit(self) -> None:
        await self.app.action_quit()

    # The picture

    def action_freeze(self) -> None:
        """The queue goes on, and so do the keys that act on it: a picture of jobs that are over would mislead them."""
        if self.held is None:
            self.held = Held(self.bridge.looker)
            self.narrate("the picture is held, jobs go on; z lets it go on too")
        else:
            self.held = None
            self.narrate("the picture goes on")
        self.look_again()

    def action_big(self) -> None:
        self.big = not self.big
        self._widen_map()
        self._arrange()
        self.look_again()

    def action_read(self) -> None:
        if self.held is not None:
            self.narrate("the picture is held: z lets it go on")
            return
        self.bridge.watcher.read_now()
        self.narrate("everything is looked at anew")

    def narrate(self, note: str) -> None:
        """Said in the line of acts, or where there is none as a notice."""
        self.narrator.note = note
        if not self.act.display or self._mode != "wide":
            self.notify(self.look.shown(note)[:_LONGEST], markup=False, timeout=4)

    def action_theme(self, name: str) -> None:
        if isinstance(self.app, ThemedApp):
            self.app.use_theme(name)
            self.narrate(f"theme {name}; NUMAMIG_THEME={name} begins with it")

    def action_motion(self) -> None:
        self.look.motion = not self.look.motion
        self.narrate(f"motion {'on' if self.look.motion else 'off'}")

    def action_address(self, address: int) -> None:
        """The cursor of the map on an address of the process that is selected."""
        if any(region.start <= address < region.end for region in self.page_map.window.regions):
            self.go_to_pane("map")
            self.page_map.go_to(address)
            self.look_again()
        else:
            seen = self.processes.selected
            who = f"{seen.process.name} {seen.process.pid}" if seen is not None else "the process"
            self.say(Said(f"no region of {who} holds {address:#x}", is_error=True))

    # Home

    def action_home(self) -> None:
        """To the node in the spotlight, or to one that is asked for."""
        seen, nodes = self.processes.selected, self.bridge.looker.nodes
        if seen is None or nodes is None:
            return
        by_hand = seen.identity in self.processes.homes
        if self.spot is not None:
            home = () if by_hand and seen.home == (self.spot,) else (self.spot,)
            self._at_home(seen.identity, home)
            return
        who = (seen.process.name, seen.process.pid)
        dialog = HomeDialog(self.look, nodes.topology.nodes, who, seen.home, by_hand=by_hand)
        self.app.push_screen(dialog, partial(self._at_home, seen.identity))

    def _at_home(self, identity: tuple[int, int], home: tuple[int, ...] | None) -> None:
        if home is None:
            return
        self.processes.set_home(identity, home)
        self.narrate(f"at home on {home[0]}, said by hand; H again changes it" if home else "at home where it runs")
        self.look_again()

    # Read-only

    def action_read_only(self) -> None:
        """Off only after a question where it was asked for at the start."""
        if self.bridge.orders.read_only and self.bridge.read_only_asked:
            sentence = "This console was started with --read-only: keys could move memory again."
            self.app.push_screen(Confirm(self.look, "read-only off", sentence, "turn it off"), self._writable)
        else:
            self._set_read_only(not self.bridge.orders.read_only)

    def _writable(self, yes: bool | None) -> None:
        if yes:
            self._set_read_only(False)

    def _set_read_only(self, on: bool) -> None:
        self.bridge.orders.read_only = on
        self.narrate("read-only: nothing can be moved from here" if on else "read-only is off")
        self.look_again()

    def refuse(self, what: str) -> None:
        """A key was pressed that would move something."""
        self.say(Said(f"read-only: no {what} from here; ^p read-only off", is_error=True))

    # What is kept

    def action_screenshot(self) -> None:
        """Of the screen without the palette that it was asked from."""
        self.set_timer(0.1, self._shoot)

    def _shoot(self) -> None:
        title = f"numamig, {self.bridge.backend.capabilities.machine}"
        self._keep(".svg", self.app.export_screenshot(title=self.look.shown(title)), "screenshot")

    def action_report(self) -> None:
        bridge, pictures = self.bridge, self.held or self.bridge.looker
        has = bridge.backend.capabilities
        shown = [row for key in self.processes.keys if (row := self.processes.seen(key)) is not None]
        seen = Seen(
            when=time.strftime("%Y-%m-%d %H:%M:%S"),
            clock=clock_text(bridge.backend.clock.now_ns()) if has.virtual_time else "",
            capabilities=has,
            nodes=pictures.nodes,
            processes=shown,
            left_out=self.processes.total - len(shown),
            selected=self.processes.selected,
            regions=pictures.regions,
            accounts=[self._account(job.number) for job in self.bridge.jobs()],
        )
        self._keep(".txt", report(seen, only_ascii=self.look.ascii), "report")

    def _keep(self, suffix: str, text: str, what: str) -> None:
        directory = self.screenshots
        try:
            path = keep(directory, time.strftime("%Y-%m-%d-%H%M%S"), suffix, text)
        except NumamigError as error:
            self.say(Said(str(error), is_error=True))
            return
        self.notify(self.look.shown(f"{what}: {path.absolute()}"), markup=False, timeout=8)
