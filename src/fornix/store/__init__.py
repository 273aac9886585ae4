"""Artifacts: what stages leave behind, whole or not at all.

An artifact is a folder with zarr arrays, tables and a ``manifest.json`` that was written last
and knows the digest of every other part.
"""

from fornix.store.artifact import Artifact, Read, Recipe, Target, adopt, create, open_artifact
from fornix.store.draft import Draft

__all__ = ["Artifact", "Draft", "Read", "Recipe", "Target", "adopt", "create", "open_artifact"]
