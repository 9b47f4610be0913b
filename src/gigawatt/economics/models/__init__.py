"""Shipped tables: language models, training runs, workloads, published measurements, capex."""
