"""Wiring: the only room that builds real objects."""
