"""The digital twin: seeded virtual time, faults and traces through the real code."""
