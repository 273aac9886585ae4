"""One job of a study: the artifact it makes, what it needs, and what it is known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fornix.dag.code import Code, code_of
from fornix.dag.sources import Contents
from fornix.study.base import Section, digest_of


@dataclass(frozen=True)
class Job:
    """One artifact to make.

    Attributes
    ----------
    stage, name, subject
        Which job of the study it is; ``subject`` is None where one job does all.
    section
        The typed settings that the stage gets.
    seed
        Seed of everything random in it.
    folder
        The artifact, relative to the project's root.
    settings
        Digest of the settings, those of the jobs above included.
    needs
        Input name -> job whose artifact the stage reads.
    roots
        Input name -> folder that the stage reads and no job has made.
    outside
        Gives what is read from outside, as (name, digest of its contents).
    modules
        Modules that do the work, by the section's kind.
    """

    stage: str
    name: str
    subject: str | None
    section: Section
    seed: int
    folder: Path
    settings: str
    needs: Mapping[str, Job] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)
    outside: Callable[[], Contents] = tuple
    modules: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str | None]:
        """Stage, name and subject."""
        return self.stage, self.name, self.subject

    @property
    def manifest(self) -> Path:
        """The file that says the artifact is whole."""
        return self.folder / "manifest.json"

    @property
    def title(self) -> str:
        """Return the job in words: ``fit encoding sub-01``."""
        return " ".join([self.stage, self.name] + ([f"sub-{self.subject}"] if self.subject else []))

    @property
    def slug(self) -> str:
        """The part of the artifact's path that Snakemake's wildcard stands for."""
        names = [self.folder.name] if self.subject is None else self.folder.parts[-2:]
        return "/".join(names)

    @property
    def call(self) -> str:
        """What follows the stage's command and the study on the command line."""
        return self.name + (f" --subject {self.subject}" if self.subject else "")

    @property
    def manifests(self) -> list[str]:
        """The manifests that the job's rule takes as its inputs."""
        return list(dict.fromkeys(str(job.manifest) for job in self.needs.values()))

    @cached_property
    def code(self) -> Code:
        """The code that makes the artifact."""
        return code_of(f"fornix.stages.{self.stage}", *self.modules)

    @cached_property
    def identity(self) -> str:
        """Digest of all that decides the artifact's bytes, as far as is known before a run."""
        return digest_of([self.settings, self.inputs_word, self.code.words])

    @cached_property
    def inputs_word(self) -> str:
        """Inputs and their identities, one word each."""
        found = {key: job.identity for key, job in self.needs.items()} | dict(self.outside())
        return " ".join(f"{key}@{value}" for key, value in sorted(found.items()))

    @cached_property
    def params(self) -> dict[str, str]:
        """What Snakemake compares with the last run of this job."""
        return {
            "section": f"section: {self.settings}",
            "inputs": f"inputs: {self.inputs_word}",
            "code": self.code.text,
        }

    def paths(self) -> dict[str, Path]:
        """Return the inputs as the stage function takes them."""
        return {key: job.folder for key, job in self.needs.items()} | dict(self.roots)
