"""Checkpoints of a few kilobytes, written as transformers writes them, and stimuli for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import soundfile
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


def sounds(folder: Path, seconds: Sequence[float] = (0.5, 0.8, 0.5)) -> pd.DataFrame:
    """Write sounds of noise, 16 kHz, and return their stimulus table."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    names = [f"sound{i}.wav" for i in range(len(seconds))]
    for name, duration in zip(names, seconds, strict=True):
        samples = 0.1 * rng.standard_normal(round(duration * 16_000))
        soundfile.write(folder / name, samples, 16_000, subtype="FLOAT")
    return _files(names, "audio")


def clips(folder: Path, n_frames: Sequence[int] = (4, 4), rate: int = 4) -> pd.DataFrame:
    """Write clips of lossless noise, 32 x 32 pixels, and return their stimulus table."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    names = [f"clip{i}.mkv" for i in range(len(n_frames))]
    for name, count in zip(names, n_frames, strict=True):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("ffv1", rate=rate)
            stream.width = stream.height = 32
            stream.pix_fmt = "bgr0"
            for _ in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return _files(names, "video")


def frames_of(path: Path, count: int) -> list[Any]:
    """Return the first frames of a clip."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames[:count]


def _files(names: Sequence[str], modality: str) -> pd.DataFrame:
    table = pd.DataFrame({"stimulus": names, "modality": modality, "path": names, "text": None})
    return table.assign(digest=[f"digest of {name}" for name in names])


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


def siglip_both(folder: Path) -> Path:
    torch.manual_seed(1)
    text = {**BLOCKS, "vocab_size": 300, "max_position_embeddings": 32, "projection_size": 16}
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    tokenizer = byte_pairs()
    tokenizer.pad_token = tokenizer.eos_token
    processor = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return _save(folder, transformers.SiglipModel(config), tokenizer, processor)


def pictured(folder: Path, config: Any, kind: Any = None) -> Path:
    """Write a model of pictures of 32 x 32 pixels."""
    torch.manual_seed(1)
    model = kind(config) if kind else transformers.AutoModel.from_config(config)
    size = {"height": 32, "width": 32}
    return _save(folder, model, transformers.ViTImageProcessorPil(size=size))


def worded(folder: Path, config: Any) -> Path:
    """Write a causal model of texts."""
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(config)
    return _save(folder, model, byte_pairs())


def sounding(folder: Path, config: Any, extractor: Any) -> Path:
    """Write a model of sounds."""
    torch.manual_seed(1)
    return _save(folder, transformers.AutoModel.from_config(config), extractor)


CONV = {"conv_dim": (16, 16), "conv_kernel": (10, 8), "conv_stride": (10, 8)}
CONV |= {
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
DECODER = {**BLOCKS, "vocab_size": 300, "max_position_embeddings": 64, "num_key_value_heads": 1}


def _clap(folder: Path) -> Path:
    config = transformers.ClapConfig(
        text_config={**BLOCKS, "vocab_size": 300},
        audio_config={
            "spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": (4, 4),
            "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1],
            "num_attention_heads": [2, 2], "window_size": 4, "enable_fusion": False,
            "num_hidden_layers": 2,
        },
        projection_dim=8,
    )  # fmt: skip
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=16_000, max_length_s=1, hop_length=250, fft_window_size=512,
        truncation="rand_trunc", padding="repeatpad",
    )  # fmt: skip
    return sounding(folder, config, extractor)


def _video(folder: Path, config: Any, **processing: Any) -> Path:
    torch.manual_seed(1)
    _save(folder, transformers.AutoModel.from_config(config))
    found = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    found |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **processing}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(found))
    return folder


RAW = transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000)
MEL = {"feature_size": 16, "chunk_length": 2, "n_fft": 400}

MAKERS = {
    "vit": vit, "resnet": resnet, "convnext": convnext, "bert": bert, "gpt2": gpt2, "clip": clip,
    "deit": lambda f: pictured(f, transformers.DeiTConfig(**VISION)),
    "beit": lambda f: pictured(f, transformers.BeitConfig(**VISION, use_mask_token=False)),
    "dinov2": lambda f: pictured(f, transformers.Dinov2Config(**VISION)),
    "dinov3": lambda f: pictured(f, transformers.DINOv3ViTConfig(**VISION, num_register_tokens=2)),
    "siglip": lambda f: pictured(f, transformers.SiglipVisionConfig(**VISION),
                                 transformers.SiglipVisionModel),
    "siglip_both": siglip_both,
    "vit_mae": lambda f: pictured(f, transformers.ViTMAEConfig(
        **VISION, decoder_hidden_size=16, decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2, decoder_intermediate_size=16)),
    "t5_encoder": lambda f: _save(f, transformers.T5EncoderModel(transformers.T5Config(
        d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=60)), word_piece()),
    "xlnet": lambda f: _save(f, transformers.XLNetModel(transformers.XLNetConfig(
        d_model=16, n_layer=2, n_head=2, d_inner=32, vocab_size=60)), word_piece()),
    "llama": lambda f: worded(f, transformers.LlamaConfig(**DECODER)),
    "qwen": lambda f: worded(f, transformers.Qwen2Config(**DECODER)),
    "phi3": lambda f: worded(f, transformers.Phi3Config(
        **{**DECODER, "num_attention_heads": 4}, pad_token_id=0, bos_token_id=1, eos_token_id=0)),
    "mamba": lambda f: worded(f, transformers.MambaConfig(
        hidden_size=24, num_hidden_layers=2, vocab_size=300, state_size=4)),
    "neox": lambda f: worded(f, transformers.GPTNeoXConfig(
        **BLOCKS, vocab_size=300, max_position_embeddings=64)),
    "wav2vec2": lambda f: sounding(f, transformers.Wav2Vec2Config(**BLOCKS, **CONV), RAW),
    "hubert": lambda f: sounding(f, transformers.HubertConfig(**BLOCKS, **CONV), RAW),
    "whisper": lambda f: sounding(
        f,
        transformers.WhisperConfig(
            d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=16,
            max_source_positions=100, vocab_size=60, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, decoder_start_token_id=1,
        ),
        transformers.WhisperFeatureExtractor(**MEL),
    ),
    "clap": _clap,
    "videomae": lambda f: _video(f, transformers.VideoMAEConfig(
        **VISION, num_frames=4, tubelet_size=2)),
    "vivit": lambda f: _video(f, transformers.VivitConfig(
        **BLOCKS, image_size=32, num_frames=4, tubelet_size=[2, 8, 8])),
    "timesformer": lambda f: _video(f, transformers.TimesformerConfig(**VISION, num_frames=4)),
    "vjepa2": lambda f: _video(f, transformers.VJEPA2Config(
        **BLOCKS, crop_size=32, patch_size=16, frames_per_clip=4, pred_hidden_size=16,
        pred_num_attention_heads=2, pred_num_hidden_layers=1, mlp_ratio=2)),
}  # fmt: skip
"""Tiny checkpoints, written once a session."""
