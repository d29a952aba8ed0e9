"""The console: a terminal interface to one NUMA machine. Only this package knows Textual; ``tui.app`` runs it."""
