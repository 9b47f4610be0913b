"""The compute fabric's driver on NVIDIA UFM Enterprise, by its public REST API."""
