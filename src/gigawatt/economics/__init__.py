"""What a factory costs, earns and is worth: joules to tokens, GPU-hours, economic life."""
