"""Whoever acts on the simulated machine on his own account: NUMA balancing, demotion, other programs."""
