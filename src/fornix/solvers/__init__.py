"""Solvers: plain functions from matrices to weights, the same on a CPU and a GPU."""
