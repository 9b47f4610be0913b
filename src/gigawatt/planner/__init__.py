"""What will happen: plan, independent check, phases."""
