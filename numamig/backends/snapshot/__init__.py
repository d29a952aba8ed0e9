"""A simulated twin of a machine: its nodes, and the pages of its processes where they are now.

The original is only looked at. What a twin knows, and what it does not: docs/rehearse.md.
"""
