"""Looking at placement without disturbing the process looked at."""
