"""Fornix: brain data in, AI models in, a finished and reproducible study out."""

__version__ = "0.1.0"
