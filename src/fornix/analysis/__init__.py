"""Analyses of the features themselves; a kind is a module with one function ``analyse``."""
