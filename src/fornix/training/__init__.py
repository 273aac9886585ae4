"""How models are trained: samples, folds and what is held out."""
