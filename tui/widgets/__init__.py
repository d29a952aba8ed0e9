"""What is drawn: each widget shows snapshots, line by line, and is never read back as the truth."""
