"""``datasets``: where the recordings and the stimuli come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fornix.study.base import Glob, Label, Section, Select
from fornix.study.worlds.union import World


class StimulusSource(Section):
    """How events name their stimuli.

    With ``modality: file`` the column holds paths below ``folder``; with ``text`` the cell is
    the stimulus itself (a word, a sentence); with ``label`` each distinct value is a condition
    without content (a category), which only feature kinds that read columns can describe. With
    ``word`` every event is a stimulus of its own, a word of a running text (a passage), since a
    model reads it in its context.
    """

    column: str = Field("stim_file", description="events column that names the stimulus")
    modality: Literal["auto", "file", "text", "word", "label"] = Field(
        "auto",
        description="auto: file if the column is stim_file, label if the column is missing",
    )
    folder: str = Field("stimuli", description="folder of stimulus files, below the dataset root")
    table: str = Field(
        "stimuli.tsv",
        description="table of stimulus properties (column stim_file or stimulus_id), looked for "
        "in the stimulus folder and then in the dataset root; optional",
    )


class LocalDataset(Section):
    """A BIDS dataset (raw or derivatives) on disk."""

    source: Literal["local"] = Field(description="a folder on disk")
    path: str = Field(
        description="BIDS root. ${VARIABLE} is expanded; FORNIX_REAL_DATA has a default. "
        "Relative paths start at the project's root"
    )
    select: Select = Field(default_factory=Select, description="recordings to index")
    stimuli: StimulusSource = Field(
        default_factory=StimulusSource, description="how events name their stimuli"
    )


class OpenNeuroDataset(Section):
    """A dataset of OpenNeuro, fetched once into the cache."""

    source: Literal["openneuro"] = Field(description="OpenNeuro, over the network")
    accession: Annotated[str, Field(pattern=r"^ds\d{6}$")] = Field(
        description="accession number, such as ds000105"
    )
    tag: str = Field(description="snapshot, such as 3.0.0; pinned so that a study stays the same")
    subjects: list[Label] = Field(description="subjects to fetch, without 'sub-'", min_length=1)
    include: list[Glob] = Field([], description="further files to fetch, as patterns")
    select: Select = Field(default_factory=Select, description="recordings to index")
    stimuli: StimulusSource = Field(
        default_factory=StimulusSource, description="how events name their stimuli"
    )


class SimulatedDataset(Section):
    """A BIDS dataset written by a world, whose answer is known."""

    source: Literal["simulate"] = Field(description="a simulator with a known answer")
    world: World = Field(description="the simulator and its planted truth")
    select: Select = Field(default_factory=Select, description="recordings to index")
    stimuli: StimulusSource = Field(
        default_factory=StimulusSource, description="how events name their stimuli"
    )


class RdmDataset(Section):
    """A folder of representational dissimilarity matrices and the stimuli they compare.

    ``rdms`` is an ``.npz`` archive with one array ``rdm`` of shape (subject, session, stimulus,
    stimulus) or (subject, stimulus, stimulus); rows follow the rows of the stimulus table.
    """

    source: Literal["rdms"] = Field(
        description="dissimilarity matrices that were measured elsewhere"
    )
    path: str = Field(description="folder; as in a local dataset")
    rdms: Glob = Field("*rdm*.npz", description="pattern of the archive, in that folder")
    stimuli: StimulusSource = Field(
        default_factory=StimulusSource, description="where the table of stimuli lies"
    )


Dataset = Annotated[
    LocalDataset | OpenNeuroDataset | SimulatedDataset | RdmDataset,
    Field(discriminator="source"),
]
