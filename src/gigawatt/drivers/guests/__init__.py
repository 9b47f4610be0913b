"""Host plane of hypervisors: each slice of a node is a virtual machine that libvirt runs."""
