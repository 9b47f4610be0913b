"""Storage servers of a lab: btrfs on a file, or a whole Ceph on one."""
