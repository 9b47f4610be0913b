"""The compute fabric's driver on a real subnet manager: OpenSM and its ``partitions.conf``."""
