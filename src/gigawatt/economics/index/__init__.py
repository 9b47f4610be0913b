"""The rental price index: quotes in, comparable price movements out, or a reason why not."""
