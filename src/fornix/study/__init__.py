"""The typed study file: one module a section, nothing heavy imported.

A stage imports the module of its own section only (``fornix.study.features.gabor``), so that an
edit to one section's schema leaves the other stages' code digests alone.
"""
