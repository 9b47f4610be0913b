"""The storage plane over CephFS: subvolumes with quotas, a key of its own for each export."""
