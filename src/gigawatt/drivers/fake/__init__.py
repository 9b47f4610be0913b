"""The shipped fake: a device model of all five planes, with faults."""
