"""What the console does beside drawing: looking, planning, stepping jobs, each in a thread of its own."""
