"""Checkpoints of a few kilobytes, written as transformers writes them, and stimuli for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from fornix.study.compute import Compute
from fornix.study.features.huggingface import HuggingFaceFeatures

CPU = Compute(device="cpu")
SENTENCES = [
    "the cat sat on the mat",
    "a dog",
    "the small brown dog ran after the cat and the ball in the garden",
    "house",
    "on the table sat a ball",
]
BLOCKS = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
VISION = {**BLOCKS, "image_size": 32, "patch_size": 8}


def section(model: Path | str, **settings: Any) -> HuggingFaceFeatures:
    return HuggingFaceFeatures(kind="huggingface", dataset="data", model=str(model), **settings)


def pictures(folder: Path, n: int = 5, size: tuple[int, int] = (40, 40)) -> pd.DataFrame:
    """Write pictures of noise and return their stimulus table."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        name = f"picture{i}.png"
        values = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / name)
        rows.append({"stimulus": name, "modality": "image", "path": name, "text": None})
    return pd.DataFrame(rows).assign(digest="x")


def texts(sentences: Sequence[str] = tuple(SENTENCES)) -> pd.DataFrame:
    """Return the stimulus table of sentences."""
    return pd.DataFrame(
        {
            "stimulus": [f"s{i}" for i in range(len(sentences))],
            "modality": "text",
            "path": None,
            "text": list(sentences),
            "digest": "x",
        }
    )


def _save(folder: Path, model: Any, *parts: Any) -> Path:
    model.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def _words() -> list[str]:
    return sorted({word for sentence in SENTENCES for word in sentence.split()})


def word_piece() -> Any:
    """Return a BERT-like tokenizer: class and separator tokens around words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *_words()])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{key}_token": value for key, value in names.items()}
    )


def byte_pairs(*, ends: bool = False) -> Any:
    """Return a GPT-2-like tokenizer without padding; ``ends``: CLIP-like, with start and end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|startoftext|> $A <|endoftext|>",
            special_tokens=[("<|endoftext|>", 0), ("<|startoftext|>", 1)],
        )
    names = dict(zip(("eos_token", "bos_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def vit(folder: Path, **settings: Any) -> Path:
    torch.manual_seed(1)
    config = transformers.ViTConfig(**VISION, **settings)
    size = {"height": 32, "width": 32}
    return _save(
        folder, transformers.ViTModel(config), transformers.ViTImageProcessorPil(size=size)
    )


def resnet(folder: Path) -> Path:
    torch.manual_seed(1)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64})
    return _save(folder, transformers.ResNetModel(config), processor)


def convnext(folder: Path) -> Path:
    torch.manual_seed(1)
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], image_size=64
    )
    processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64})
    return _save(folder, transformers.ConvNextModel(config), processor)


def bert(folder: Path) -> Path:
    torch.manual_seed(1)
    tokenizer = word_piece()
    config = transformers.BertConfig(
        **BLOCKS, vocab_size=len(tokenizer), max_position_embeddings=12
    )
    return _save(folder, transformers.BertModel(config), tokenizer)


def gpt2(folder: Path) -> Path:
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=300, n_positions=64,
        bos_token_id=1, eos_token_id=0,
    )  # fmt: skip
    return _save(folder, transformers.GPT2Model(config), byte_pairs())


def clip(folder: Path) -> Path:
    torch.manual_seed(1)
    text = {**BLOCKS, "vocab_size": 300, "max_position_embeddings": 77}
    text |= {"bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=8)
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return _save(folder, transformers.CLIPModel(config), byte_pairs(ends=True), processor)


MAKERS = {
    "vit": vit, "resnet": resnet, "convnext": convnext, "bert": bert, "gpt2": gpt2, "clip": clip,
}  # fmt: skip
