"""The page map: what its cells say, where they are drawn, and how pages are chosen on it."""
