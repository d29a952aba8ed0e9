"""What was moved from where: written before it is done, read by undo, resume and the list of jobs."""
