"""What exists: the fleet model, its catalogue, builders, import and invariants."""
