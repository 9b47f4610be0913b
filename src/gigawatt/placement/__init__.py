"""Where it goes: exact topology-aware search, score and report."""
