"""Vision-language checkpoints of a few kilobytes, written as transformers writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

CHAT = (
    "{% for turn in messages %}User:{% for part in turn['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
SQUARE = {"height": 32, "width": 32}
PATCHES = 16
"""Patches of 8 x 8 pixels in a picture of 32 x 32."""

DECODER = {**tiny.DECODER, "max_position_embeddings": 512}


def decoding() -> Any:
    """Return a decoder's byte-level tokenizer with a token for pictures."""
    tokenizer = tiny.byte_pairs()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.image_token = "<image>"  # noqa: S105
    return tokenizer


def _write(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    """Write a LLaVA: a CLIP tower's patches among the tokens of a Llama."""
    torch.manual_seed(1)
    tokenizer = decoding()
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**tiny.VISION),
        text_config=transformers.LlamaConfig(**{**DECODER, "vocab_size": len(tokenizer)}),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )
    image = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    processor = transformers.LlavaProcessor(
        image, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT,
    )  # fmt: skip
    return _write(folder, transformers.LlavaForConditionalGeneration(config), processor)


def idefics(folder: Path) -> Path:
    """Write an Idefics3, which SmolVLM is a copy of: several pictures before a Llama."""
    torch.manual_seed(1)
    tokenizer = tiny.byte_pairs()
    special = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.pad_token = tokenizer.eos_token
    config = transformers.Idefics3Config(
        vision_config={**tiny.VISION},
        text_config=transformers.LlamaConfig(**{**DECODER, "vocab_size": len(tokenizer)}),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2, pad_token_id=0,
    )  # fmt: skip
    image = transformers.Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = transformers.Idefics3Processor(
        image, tokenizer, image_seq_len=PATCHES // 4, chat_template=CHAT
    )
    return _write(folder, transformers.Idefics3ForConditionalGeneration(config), processor)


def blip(folder: Path) -> Path:
    """Write a BLIP that captions."""
    torch.manual_seed(1)
    tokenizer = tiny.word_piece()
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = {**tiny.BLOCKS, "vocab_size": len(tokenizer), "max_position_embeddings": 64, **ends}
    config = transformers.BlipConfig(
        text_config={**text, "encoder_hidden_size": 16},
        vision_config=tiny.VISION, projection_dim=8,
    )  # fmt: skip
    processor = transformers.BlipProcessor(
        transformers.BlipImageProcessorPil(size=SQUARE), tokenizer
    )
    model = transformers.BlipForConditionalGeneration(config)
    model.text_decoder.generation_config.bos_token_id = 2
    return _write(folder, _spread(model), processor)


def git(folder: Path) -> Path:
    """Write a GIT that captions."""
    torch.manual_seed(1)
    tokenizer = tiny.word_piece()
    config = transformers.GitConfig(
        **tiny.BLOCKS, vocab_size=len(tokenizer), max_position_embeddings=64,
        vision_config=tiny.VISION, bos_token_id=2, eos_token_id=3, pad_token_id=0,
    )  # fmt: skip
    image = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    processor = transformers.GitProcessor(image, tokenizer)
    return _write(folder, _spread(transformers.GitForCausalLM(config)), processor)


def vilt(folder: Path) -> Path:
    """Write a ViLT: one transformer over words and patches, padded to the largest picture."""
    torch.manual_seed(1)
    config = transformers.ViltConfig(**tiny.VISION, vocab_size=60, max_position_embeddings=64)
    image = transformers.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    processor = transformers.ViltProcessor(image, tiny.word_piece())
    return _write(folder, transformers.ViltModel(config), processor)


def bridgetower(folder: Path) -> Path:
    """Write a BridgeTower: a tower of pictures, one of texts, and bridges between them."""
    torch.manual_seed(1)
    tokenizer = roberta()
    text = {**tiny.BLOCKS, "hidden_size": 64, "vocab_size": len(tokenizer)}
    config = transformers.BridgeTowerConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, text_config=text,
        vision_config={**tiny.VISION, "hidden_size": 64},
    )  # fmt: skip
    image = transformers.BridgeTowerImageProcessorPil(
        size={"shortest_edge": 32}, size_divisor=32, crop_size={"shortest_edge": 32}
    )
    processor = transformers.BridgeTowerProcessor(image, tokenizer)
    return _write(folder, transformers.BridgeTowerModel(config), processor)


def flava(folder: Path) -> Path:
    """Write a FLAVA: a tower of pictures, one of texts, and one that reads both."""
    torch.manual_seed(1)
    config = transformers.FlavaConfig(
        text_config={**tiny.BLOCKS, "vocab_size": 60}, image_config=tiny.VISION,
        multimodal_config=tiny.BLOCKS, hidden_size=16, projection_dim=8,
    )  # fmt: skip
    image = transformers.FlavaImageProcessorPil(size=SQUARE, crop_size=SQUARE)
    processor = transformers.FlavaProcessor(image, tiny.word_piece())
    return _write(folder, transformers.FlavaModel(config), processor)


def visualbert(folder: Path) -> Path:
    """Write a VisualBERT, which reads regions of 16 features."""
    return _blind(folder, transformers.VisualBertConfig(
        **tiny.BLOCKS, vocab_size=60, visual_embedding_dim=16))  # fmt: skip


def lxmert(folder: Path) -> Path:
    """Write an LXMERT, which reads regions of 16 features and where they lie."""
    return _blind(folder, transformers.LxmertConfig(
        hidden_size=16, num_attention_heads=2, intermediate_size=32, vocab_size=60,
        l_layers=2, x_layers=1, r_layers=1, visual_feat_dim=16))  # fmt: skip


def _blind(folder: Path, config: Any) -> Path:
    torch.manual_seed(1)
    return _write(folder, transformers.AutoModel.from_config(config), tiny.word_piece())


def roberta() -> Any:
    """Return a tokenizer with RoBERTa's special tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = sorted({word for one in tiny.SENTENCES for word in one.split()})
    vocabulary = {word: at for at, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, special[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("cls", "pad", "sep", "unk", "mask"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{key}_token": value for key, value in names.items()}
    )


def _spread(model: Any) -> Any:
    """Draw weights from wider, so that what is generated depends on the picture."""
    with torch.no_grad():
        for name, one in model.named_parameters():
            if one.ndim > 1 and "norm" not in name.lower():
                one.mul_(12)
    return model


MAKERS = {
    "llava": llava, "idefics": idefics, "blip": blip, "git": git, "vilt": vilt,
    "bridgetower": bridgetower, "visualbert": visualbert, "lxmert": lxmert,
    "flava": flava,
}  # fmt: skip
