"""What compute costs, earns and is worth: joules to tokens, GPU-hours, prices, loans; all pure."""
