"""YAML profiles: what was done by hand, written down, checked, and done again."""
