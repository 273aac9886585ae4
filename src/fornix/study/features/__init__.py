"""``features``: what models make of the stimuli, one module a kind of section."""
