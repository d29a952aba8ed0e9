"""Reading keys from the terminal without the tenth of a second that Textual's own driver lets pass behind an esc."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from select import select

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

__all__ = ["KeyDriver"]

_LEAVING_S = 0.1
"""So often it is asked whether there are to be no more keys."""


class KeyDriver(LinuxDriver):
    """An esc by itself is told from the beginning of a longer sequence by what does not follow it.

    Textual looks for that every 0.1 s, whatever ``ESCDELAY`` says; here it is looked for when that time is over.
    """

    def run_input_thread(self) -> None:
        """Wait for input and dispatch events."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")().decode
        patience_s = _LEAVING_S
        while not self.exit_event.is_set():
            ready = select([self.fileno], [], [], patience_s)[0]
            if ready:
                for message in parser.feed(decode(os.read(self.fileno, 4096))):
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
            patience_s = constants.ESCAPE_DELAY if ready else _LEAVING_S
