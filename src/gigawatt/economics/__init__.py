"""What compute costs and earns: prices, indices and what follows from them, all pure."""
