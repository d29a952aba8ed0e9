"""Emptying nodes: who has memory there, where it could go, what would be done, and what nobody can move."""
