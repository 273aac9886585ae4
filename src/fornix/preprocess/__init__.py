"""Recordings to responses, one module a kind; steps have the names of nilearn and MNE."""
