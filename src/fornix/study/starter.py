"""``fornix new``: a study that runs as it is and explains itself."""

from __future__ import annotations

import re
from pathlib import Path

from fornix.errors import FornixError

STARTER = """\
# yaml-language-server: $schema=../../workflow/schemas/study.schema.json
#
# {name}: a Fornix study. It runs as it is, on a simulated dataset:
#
#     fornix check {path}
#     snakemake --cores 2 --configfile {path}
#
# Then put your own dataset and models in. Every key and its unit: docs/study.md.

name: {name}
title: What this study asks, in one line
paper:
  citation: ""          # authors, year, title, journal
  doi: ""
seed: 0                 # everything random follows from it

# Where the recordings and the stimuli come from. For your own BIDS dataset:
#     source: local
#     path: /data/my_bids_dataset     # ${{VARIABLES}} are expanded
#     select: {{task: [objects]}}       # BIDS entities to keep
# For OpenNeuro (needs `pip install "fornix[openneuro]"`):
#     source: openneuro
#     accession: ds000105
#     tag: 3.0.0
#     subjects: ["1", "2"]
datasets:
  data:
    source: simulate
    world: {{name: shapes, n_subjects: 2, n_sessions: 1, n_images: 48}}

# Brain data made ready for a model. kind: fmri, eeg, meg or rdms.
responses:
  betas:
    kind: fmri
    dataset: data
    rois: {{}}            # one region a label of the dataset's dseg images
    samples:
      method: lsa       # block, trial, lsa (one GLM a run) or lss (one GLM a trial)

# What models make of the stimuli, every layer in one pass.
# kind: columns, pixels, gabor, huggingface, onnx, timm, words, ... (docs: Features)
features:
  gabor:
    kind: gabor
    dataset: data
  pixels:
    kind: pixels
    dataset: data
#  vit:
#    kind: huggingface
#    dataset: data
#    model: google/vit-base-patch16-224     # hub name or local folder
#    readouts: [cls]

# Models between the two. kind: ridge (encoding), classifier (decoding) or rsa.
fits:
  encoding:
    kind: ridge
    responses: betas
    features: [gabor, pixels]
  control:              # the same with shuffled stimuli: must be at chance
    kind: ridge
    responses: betas
    features: [gabor, pixels]
    shuffle: true

scores:
  permutations: 500     # draws of the null distribution

# Sentences of the paper, and what would support them. They may fail: that's the point.
claims:
  - text: The stimuli's features predict the responses.
    test: above_chance
    scores: {{fit: encoding, metric: pearson_r, target: gabor/level1, unit: V1}}
  - text: Shuffled stimuli predict nothing.
    test: at_chance
    scores: {{fit: control, metric: pearson_r, target: gabor/level1, unit: V1}}
"""


def write_starter(name: str, folder: Path) -> Path:
    """Write ``<folder>/<name>.yaml``.

    Raises
    ------
    FornixError
        If the name can't be a study's name, or the file is there already.
    """
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        problem = f"{name!r} can't name a study"
        mend = "use letters, digits and underscores, starting with a letter"
        raise FornixError(problem, where="NAME", mend=mend)
    if path.exists():
        problem = "the study is there already"
        raise FornixError(problem, where=str(path), mend="choose another name, or edit it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(STARTER.format(name=name, path=path.as_posix()), encoding="utf-8")
    return path
