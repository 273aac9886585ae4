"""How fits are judged: metrics, ceilings, permutations, claims."""
