"""Gigawatt: the operating system of an AI factory. See ARCHITECTURE.md for the map."""

__version__ = "0.1.0"
