"""The storage plane over btrfs: subvolumes with hard quotas, one server for each export."""
