"""The machine that this program runs on: Linux, through move_pages(2), /proc and /sys. Start at ``backend``."""
