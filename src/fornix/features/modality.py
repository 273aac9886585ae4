"""Whether an extractor can take the stimuli that a dataset has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from fornix.errors import FornixError

REMEDY = {
    "label": "these stimuli are names of conditions, without content: describe them with kind: "
    "columns, or let the events name files (stimuli.column and stimuli.modality of the dataset)",
    "image": "take a vision model, pixels or gabor for pictures",
    "text": "take kind: huggingface with a text model for texts",
    "word": "take kind: words, surprisal or huggingface with a text model for words",
    "audio": "take kind: huggingface with a model of sounds, spectrogram or envelope for sounds",
    "video": "take kind: huggingface with a model of clips, or motion_energy for clips",
}


def require(stimuli: pd.DataFrame, modality: str, *, what: str, where: str) -> None:
    """Raise unless every stimulus has the modality.

    Parameters
    ----------
    stimuli
        The stimulus table.
    modality
        ``image`` or ``text``.
    what
        Who needs it, such as ``"pixels"``.
    where
        The section, for the message.

    Raises
    ------
    FornixError
        Naming the modalities that were found, and some of the stimuli.
    """
    others = stimuli[stimuli["modality"] != modality]
    if others.empty:
        return
    found = str(others["modality"].iloc[0])
    shown = ", ".join(repr(str(name)) for name in others["stimulus"].iloc[:3])
    more = ", ..." if len(others) > 3 else ""
    problem = (
        f"{what} needs {modality} stimuli, but {len(others)} of {len(stimuli)} are "
        f"{found} stimuli ({shown}{more})"
    )
    raise FornixError(problem, where=where, mend=REMEDY.get(found, "take another dataset"))


def require_any(stimuli: pd.DataFrame, modalities: Sequence[str], *, what: str, where: str) -> None:
    """Raise unless every stimulus has one of some modalities."""
    require(stimuli[~stimuli["modality"].isin(modalities)], modalities[0], what=what, where=where)


def only_modality(stimuli: pd.DataFrame, allowed: Iterable[str], *, where: str) -> str:
    """Return the one modality that the stimuli have.

    Raises
    ------
    FornixError
        If there are several, or one that isn't allowed.
    """
    found = [str(one) for one in stimuli["modality"].drop_duplicates()]
    if len(found) > 1:
        problem = f"the stimuli are mixed: {', '.join(sorted(found))}"
        mend = "select the recordings of one kind of stimulus in the dataset's select"
        raise FornixError(problem, where=where, mend=mend)
    if found[0] not in set(allowed):
        problem = f"a Hugging Face model takes pictures or texts, not {found[0]} stimuli"
        mend = REMEDY.get(found[0], "take another dataset")
        raise FornixError(problem, where=where, mend=mend)
    return found[0]
