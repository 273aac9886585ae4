"""What every world has."""

from __future__ import annotations

from pydantic import Field

from fornix.study.base import Section


class WorldSection(Section):
    """A simulator whose truth is known."""

    n_subjects: int = Field(3, ge=1, le=99, description="people")
    seed: int = Field(0, ge=0, description="seed of the world")

    def subjects(self) -> list[str]:
        """Return the subject labels that this world will write."""
        return [f"{i + 1:02d}" for i in range(self.n_subjects)]

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        raise NotImplementedError
