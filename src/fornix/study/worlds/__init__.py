"""``world``: the simulators a study can name, one module a simulator."""
