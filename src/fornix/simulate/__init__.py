"""Worlds: BIDS datasets with a planted truth."""
