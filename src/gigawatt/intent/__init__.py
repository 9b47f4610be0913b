"""What is wanted: requests and policies."""
