"""A NUMA machine in memory and in virtual time, which answers the same system call as the kernel."""
