"""What all engines of the storage plane share: rules, order of changes, probes."""
