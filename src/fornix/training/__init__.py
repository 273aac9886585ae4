"""How models are fitted: splits, and later the torch loop."""
