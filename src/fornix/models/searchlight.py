"""Dissimilarities of stimuli in a model's layers; those of the brain are made sphere by sphere."""

from fornix.models.rsa import model_rdm

__all__ = ["model_rdm"]
