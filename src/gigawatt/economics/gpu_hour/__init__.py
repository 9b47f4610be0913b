"""The cost of one GPU-hour, by component."""
