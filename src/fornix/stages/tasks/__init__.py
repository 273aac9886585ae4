"""How each task of a fit goes, one module a task."""
