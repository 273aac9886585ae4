"""What is fitted, one module a kind."""
