"""What commands do once they are parsed: call the control plane, and show what it answers."""
