"""Datasets in: the BIDS index, events, stimuli, checks and fetchers."""
