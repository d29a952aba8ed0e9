"""The guide: goes through the chapters, presses their keys, waits for what they speak of; anyone may step in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tui.dialogs.asking import Asking
from tui.tour.bar import Shown, State, keys_shown
from tui.tour.chapter import Beat, Chapter, Condition
from tui.tour.conditions import no_dialog
from tui.tour.scene import Scene

__all__ = ["END", "PATIENCE_S", "Guide"]

END = "All keys are yours now, and nothing was faked: ? explains them, q leaves."
PATIENCE_S = 40.0
_NEEDS, _AGAIN = 1 / 12, 1 / 10
"""Of the patience: for what a chapter needs, and before a key is pressed again."""
_NOTE_S = 3.0
_TICK_S, _HURRIED_TICK_S = 0.05, 0.03
_MOST_KEYS = 40
"""To get to where a chapter begins."""


class _Interrupted(Exception):
    """The operator has taken the keys, or ended the tour."""


class Guide:
    """
    :param press: has a key pressed, and returns when the console has it
    :param show: what the caption bar is to say
    :param pace: 2 is twice as fast; infinity leaves nothing to be read
    :param by_hand: wait for the operator after each chapter
    :param patience_s: where something does not come within it, that is said, and the tour goes on
    """

    def __init__(
        self,
        scene: Scene,
        chapters: tuple[Chapter, ...],
        press: Callable[[str], Awaitable[None]],
        show: Callable[[Shown], None],
        *,
        pace: float = 1.0,
        by_hand: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.state = State.TOURING
        self.missed: list[str] = []
        """What did not come in time, in words."""
        self.reached: list[str] = []
        """Titles of the chapters that were told."""
        self._scene = scene
        self._chapters = chapters
        self._press_key = press
        self._show = show
        self._pace = pace
        self._by_hand = by_hand
        self._patience_s = patience_s
        self._shown = Shown(of=len(chapters))
        self._caption = ""
        self._on = False
        """Whatever is left to be read has been read."""
        self._skipping = False
        """To the next chapter, without reading."""
        self._tick_s = _HURRIED_TICK_S if math.isinf(pace) else _TICK_S

    # The operator

    def operator(self, key: str) -> bool:
        """What a key of the operator's means to the tour; False: it is the console's."""
        if self.state is State.OVER:
            return False
        if self.state is State.TAKEN:
            if key in ("f5", "ctrl+t"):
                self._become(State.TOURING)
                return True
            return False
        match key:
            case "space" | "enter" | "f5" | "ctrl+t":
                self._on = True
                self._become(State.TOURING)
            case "right":
                self._skipping = True
                self._become(State.TOURING)
            case "left":
                self._tell(note="no way back: its keys were pressed")
            case "p":
                self._become(State.TOURING if self.state is State.HELD else State.HELD)
            case "escape":
                self.leave()
            case _:
                self.take()
                return False
        return True

    def take(self) -> None:
        """The operator has the keys."""
        if self.state is not State.OVER:
            self._become(State.TAKEN)

    def leave(self) -> None:
        """The tour is over."""
        self._become(State.OVER)

    def _become(self, state: State) -> None:
        self.state = state
        self._tell()

    # The tour

    async def run(self) -> None:
        """All chapters, to the end or until the operator leaves."""
        at = 0
        while at < len(self._chapters) and self.state is not State.OVER:
            self._shown = Shown(at + 1, len(self._chapters), self._chapters[at].title)
            try:
                await self._chapter(self._chapters[at])
                self._on = self._skipping = False
                at += 1
            except _Interrupted:
                while self.state is State.TAKEN:
                    await asyncio.sleep(self._tick_s)
        self._caption = END
        self._shown = replace(self._shown, keys="", note="")
        self.leave()

    async def _chapter(self, chapter: Chapter) -> None:
        if chapter.done is not None and chapter.done.holds(self._scene):
            return
        await self._settle(chapter)
        if not await self._wait(lambda: chapter.needs.holds(self._scene), self._patience_s * _NEEDS):
            await self._miss(chapter, chapter.needs, self._patience_s * _NEEDS)
            return
        if chapter.measures:
            self._scene.note_speed()
        for beat in chapter.beats:
            if beat.needless is None or not beat.needless.holds(self._scene):
                await self._beat(chapter, beat)
        self.reached.append(chapter.title)
        if self._by_hand:
            self._become(State.WAITING)
            await self._wait(lambda: self.state is not State.WAITING, math.inf)

    async def _beat(self, chapter: Chapter, beat: Beat) -> None:
        facts = self._scene.facts
        keys = tuple(key.format_map(facts) for key in beat.keys)
        if keys:
            await self._strike(keys, beat.says.format_map(facts), beat.typing_s)
        self._caption = beat.caption  # what it speaks of is there now, or comes
        first_s = self._patience_s * (_AGAIN if beat.again else 1)
        there = await self._wait(lambda: beat.until.holds(self._scene), first_s)
        if not there and beat.again:
            if isinstance(self._scene.screen, Asking):
                await self._strike(keys, beat.says.format_map(facts), beat.typing_s)
            there = await self._wait(lambda: beat.until.holds(self._scene), self._patience_s)
        if not there:
            await self._miss(chapter, beat.until, self._patience_s)
        await self._rest(beat.hold_s)
        self._tell(keys="", says="")

    async def _settle(self, chapter: Chapter) -> None:
        """To the pane where the chapter begins, with the cursor on the process: it may be that others had the keys."""
        self._caption = chapter.about[0].upper() + chapter.about[1:] + "."
        self._tell()
        for _ in range(_MOST_KEYS):
            main, identity = self._scene.main, self._scene.identity
            if self._scene.in_dialog:
                await self._strike(("escape",), "back", 0.5)
                await self._wait(lambda: no_dialog.holds(self._scene), self._patience_s * _NEEDS)
                continue
            astray = identity is not None and main.processes.cursor not in (identity, None)
            astray = astray and bool(self.reached)  # the first chapter finds it
            names = list(main.panes)
            wanted = names.index("processes" if astray else chapter.pane)
            at = names.index(main.active)
            if main.filter_bar.display or at > wanted:
                await self._strike(("escape",), "out", 0.5)
            elif at < wanted:
                await self._strike(("tab",), f"to the {names[at + 1]}", 0.5)
            elif astray and identity not in main.processes.keys:
                await self._strike(("escape",), "all of them", 0.5)
            elif astray and identity is not None:
                keys = list(main.processes.keys)
                cursor = main.processes.cursor
                below = cursor in keys and keys.index(identity) > keys.index(cursor)
                await self._strike(("j" if below or cursor not in keys else "k",), "to the process", 0.2)
            else:
                return
            await asyncio.sleep(self._tick_s)

    # Pieces of it

    async def _strike(self, keys: tuple[str, ...], says: str, seconds: float) -> None:
        """Show the keys, and then press them."""
        self._tell(keys=keys_shown(keys), says=says)
        lead, *between = (
            [seconds] if len(keys) == 1 else [seconds / 2, *[seconds / 2 / (len(keys) - 1)] * (len(keys) - 1)]
        )
        await self._rest(lead)
        for number, key in enumerate(keys):
            if number:
                await self._rest(between[number - 1])
            await self._free()
            await self._press_key(key)

    async def _rest(self, seconds: float) -> None:
        """Time to read, at the tour's pace."""
        if not self._skipping:
            await self._wait(lambda: self._on or self._skipping, seconds / self._pace)
        self._on = False
        await self._free()

    async def _wait(self, holds: Callable[[], bool], most_s: float) -> bool:
        """Whether it came within the time; what the tour is held does not count."""
        loop = asyncio.get_running_loop()
        left_s, before = most_s, loop.time()
        while True:
            self._check()
            self._tell()
            if holds():
                return True
            if left_s <= 0:
                return False
            await asyncio.sleep(min(self._tick_s, left_s))
            now = loop.time()
            if self.state is not State.HELD:
                left_s -= now - before
            before = now

    async def _free(self) -> None:
        """No key is pressed while the operator speaks."""
        while self.state is State.HELD:
            await asyncio.sleep(self._tick_s)
        self._check()

    def _check(self) -> None:
        if self.state in (State.TAKEN, State.OVER):
            raise _Interrupted

    async def _miss(self, chapter: Chapter, what: Condition, seconds: float) -> None:
        """Say what did not come, and go on."""
        self.missed.append(f"{chapter.title}: {what.words}: not seen within {seconds:.0f} s")
        self._tell(note=f"not seen: {what.words}")
        await self._rest(_NOTE_S)
        self._tell(note="")

    def _tell(self, *, keys: str | None = None, says: str | None = None, note: str | None = None) -> None:
        shown = replace(self._shown, state=self.state, caption=self._caption.format_map(self._scene.facts))
        if keys is not None:
            shown = replace(shown, keys=keys, says=says or "", note="")
        if note is not None:
            shown = replace(shown, note=note)
        self._shown = shown
        self._show(shown)
