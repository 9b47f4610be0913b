"""Fleets that are read from what a site already has: ibnetdiscover, Slurm's topology.conf."""
