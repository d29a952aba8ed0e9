"""numamig: see where the memory of processes lives on a NUMA machine, and move it, in small visible steps."""

__version__ = "0.1.0"
