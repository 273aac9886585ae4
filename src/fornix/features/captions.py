"""Texts that a model generates for pictures and clips, greedily and so always the same.

The artifact is a table, ``texts.parquet``: ``stimulus``, ``prompt``, ``text``, and the ``digest``
of the stimulus. A text is generated once for each content: stimuli that an earlier artifact of
the same model and prompt has keep theirs, and a job that was killed goes on with the next batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fornix.devices import settings, torch_device
from fornix.errors import FornixError
from fornix.features import hub
from fornix.features.checkpoints import load_model, quiet
from fornix.features.extractor import Context
from fornix.features.modality import only_modality
from fornix.features.prompt_inputs import Prompted, load_processor
from fornix.store.artifact import Artifact
from fornix.store.draft import Draft
from fornix.study.features.captions import CaptionFeatures

fingerprint = hub.fingerprint

BATCH = {"cpu": 4, "cuda": 32}
WRITTEN = "texts.jsonl"
"""Texts so far, one a line, while the job runs."""

Generate = Callable[[pd.DataFrame], list[str]]


def write(
    section: CaptionFeatures,
    rows: pd.DataFrame,
    context: Context,
    draft: Draft,
    relatives: Sequence[Artifact],
) -> None:
    """Write ``texts.parquet``.

    Parameters
    ----------
    section
        The model, and what it is asked.
    rows
        The stimulus table.
    context
        The folder of the stimuli, and the device.
    draft
        The artifact in the making.
    relatives
        Earlier artifacts of the same model and prompt, whose texts are taken.

    Raises
    ------
    FornixError
        If the stimuli can't be shown to a model, or the model writes no texts.
    """
    where = hub.place(section)
    only_modality(rows, ("image", "video"), where=where)
    wanted = set(rows["digest"].astype(str))
    known = _taken(relatives, wanted)
    taken = len(known)
    path = draft.file(WRITTEN)
    done = int((draft.resumed or {}).get("texts", 0))
    written = _lines(path)[:done] if done else []
    path.write_text("".join(_line(*one) for one in written), encoding="utf-8")
    known |= dict(written)
    missing = rows[~rows["digest"].astype(str).isin(known)].drop_duplicates("digest")
    context.advance(len(rows) - len(missing))
    if len(missing):
        with open_generator(section, context, where) as (generate, size):
            for at in range(0, len(missing), size):
                some = missing.iloc[at : at + size]
                found = dict(zip(some["digest"].astype(str), generate(some), strict=True))
                with path.open("a", encoding="utf-8") as file:
                    file.writelines(_line(*one) for one in found.items())
                known |= found
                draft.save({"texts": len(written) + at + len(some)})
                context.advance(len(some))
    digests = rows["digest"].astype(str)
    texts = {"stimulus": rows["stimulus"].astype(str), "prompt": section.prompt}
    table = pd.DataFrame({**texts, "text": digests.map(known), "digest": digests})
    draft.write_table("texts", table)
    path.unlink()
    if empty := int((table["text"] == "").sum()):
        context.notes.append(f"{section.model} wrote nothing for {empty} stimuli")
    counts = {"texts_generated": len(missing), "texts_taken": taken, "texts_resumed": len(written)}
    draft.note(n_stimuli=len(rows), **counts, notes=context.notes)


@contextmanager
def open_generator(
    section: CaptionFeatures, context: Context, where: str
) -> Iterator[tuple[Generate, int]]:
    """Load the model; yield what writes the texts of some rows, and how many rows to give it.

    Raises
    ------
    FornixError
        If the model isn't there, or writes no texts.
    """
    folder = hub.locate(section)
    hub.note_revision(section, folder, context.notes)
    device = torch_device(context.resources)
    size = BATCH[device.type] if section.batch_size == "auto" else section.batch_size
    with settings(context.resources.threads):
        # The prompt ends where the text begins: what is padded is padded before it.
        processor = load_processor(section, folder, where, side="left")
        model = load_model(section, folder, "image+text", context.notes).model
        if not getattr(model, "can_generate", lambda: False)():
            problem = f"{section.model} ({type(model).__name__}) writes no texts"
            mend = "take a model that does, such as BLIP, GIT, LLaVA or SmolVLM"
            raise FornixError(problem, where=where, mend=mend)
        model.to(device)
        prepare = Prompted(processor, context.root, {"caption": section.prompt})
        yield partial(_generate, section, model, prepare), size


def _generate(
    section: CaptionFeatures, model: Any, prepare: Prompted, rows: pd.DataFrame
) -> list[str]:
    found = [""] * len(rows)
    for group in prepare.plan(rows):
        (call,) = prepare([rows.iloc[at] for at in group]).calls.values()
        texts = _continue(section, model, prepare.tokenizer, call.arguments)
        for at, text in zip(group, texts, strict=True):
            found[int(at[0])] = text
    return found


def _continue(
    section: CaptionFeatures, model: Any, tokenizer: Any, arguments: Mapping[str, Any]
) -> list[str]:
    """Return what the model adds to its prompt."""
    given = _open_ended(arguments, tokenizer, model)
    precision = getattr(torch, section.precision)
    with (
        quiet(),
        torch.inference_mode(),
        torch.autocast(model.device.type, precision, enabled=precision != torch.float32),
    ):
        found = model.generate(
            **{key: value.to(model.device) for key, value in given.items()},
            max_new_tokens=section.max_new_tokens,
            num_beams=section.n_beams,
            do_sample=False,
            use_cache=True,
        )
    prompts = given.get("input_ids")
    if prompts is not None:
        found = found[:, _shared(prompts.to(found.device), found) :]
    return [text.strip() for text in tokenizer.batch_decode(found, skip_special_tokens=True)]


def _open_ended(
    arguments: Mapping[str, Any], tokenizer: Any, model: Any
) -> dict[str, torch.Tensor]:
    """Return tensors of a prompt without the token that would end it (BLIP drops it by itself)."""
    given = {key: one for key, one in arguments.items() if isinstance(one, torch.Tensor)}
    given.pop("token_type_ids", None)
    ids, end = given.get("input_ids"), tokenizer.sep_token_id
    if ids is None or end is None or model.config.model_type == "blip":
        return given
    shape = ids.shape
    closed = bool((ids[:, -1] == end).all())
    return {
        key: one[:, :-1] if closed and one.shape == shape else one for key, one in given.items()
    }


def _shared(prompts: torch.Tensor, found: torch.Tensor) -> int:
    """Return how many tokens of the prompt a model repeats before it goes on: none, or all.

    BLIP puts its own start token first and leaves out the last one, which ended the prompt.
    """
    for begin, stop in ((0, prompts.shape[1]), (1, prompts.shape[1] - 1)):
        same = torch.equal(found[:, begin:stop], prompts[:, begin:stop])
        if begin < stop and same:
            return stop
    return 0


def _taken(relatives: Sequence[Artifact], wanted: set[str]) -> dict[str, str]:
    """Return the texts that undamaged artifacts have for some digests, the newest one's first."""
    found: dict[str, str] = {}
    for artifact in relatives:
        try:
            if not wanted <= found.keys() and not artifact.damage():
                table = artifact.table("texts")
                texts = dict(zip(table["digest"], table["text"], strict=True))
                found = {key: one for key, one in texts.items() if key in wanted} | found
        except (FornixError, KeyError, OSError, ValueError):
            continue  # deleted meanwhile: its texts are generated again
    return found


def _line(digest: str, text: str) -> str:
    return json.dumps([digest, text], ensure_ascii=False) + "\n"


def _lines(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("]")]
