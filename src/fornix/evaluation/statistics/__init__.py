"""Tests and intervals: what scores are worth, over items, subjects, units and times."""
