"""Machines: one protocol (``base``), and those who speak it (``linux``, ``simulator``)."""
