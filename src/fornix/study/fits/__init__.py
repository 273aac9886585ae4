"""``fits``: the models that join features and responses, one module a kind."""
