"""Doing: what to choose, where to put it, one batch at a time, and an account of every page."""
