"""Self-distillation without labels."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Section
from fornix.study.fits.pretraining import PretrainingSection


class Crops(Section):
    """Views of each picture. The teacher sees the global ones, the student all of them."""

    global_scale: tuple[float, float] = Field(
        (0.4, 1.0), description="share of the picture's area that a global view shows"
    )
    n_local: int = Field(6, ge=0, description="local views; the global ones are two")
    local_side: int | None = Field(
        None, ge=4, description="side of a local view, pixels; null: half of image_size or less"
    )
    local_scale: tuple[float, float] = Field(
        (0.05, 0.4), description="share of the picture's area that a local view shows"
    )
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.2, 0.1),
        description="largest change of brightness, contrast and saturation (factors) and of hue "
        "(turns)",
    )
    grey: float = Field(0.2, ge=0, le=1, description="probability that a view has no colours")
    blur: bool = Field(True, description="blur views at random")
    solarize: float = Field(0.2, ge=0, le=1, description="probability, for the second global view")


class DinoFit(PretrainingSection):
    """Self-distillation without labels (DINO; Caron et al. 2021) of a DINOv3 vision transformer.

    A student, shown any view of a picture, has to tell what its teacher makes of another view;
    the teacher is the student's moving average. Centring and sharpening of the teacher's output
    keep the two from agreeing on one answer for all pictures.
    """

    kind: Literal["dino"] = Field(description="self-distillation of a vision transformer")
    image_size: int = Field(224, ge=8, description="side of pictures and global views, pixels")
    patch_size: int = Field(16, ge=1, description="side of a patch, pixels")
    width: int = Field(384, ge=8, description="length of a token")
    depth: int = Field(12, ge=1, description="blocks")
    heads: int = Field(6, ge=1, description="attention heads; width / heads is a multiple of 4")
    registers: int = Field(0, ge=0, description="register tokens")
    initializer_range: float = Field(
        0.02,
        gt=0,
        description="SD of the first weights. Narrow networks need more, about 1 over the root of "
        "width, or their blocks add nothing at first and learn slowly",
    )
    crops: Crops = Field(default_factory=Crops, description="views of each picture")
    prototypes: int = Field(4096, ge=2, description="outputs of the head")
    head_width: int = Field(2048, ge=4, description="hidden width of the head's three layers")
    bottleneck: int = Field(256, ge=2, description="length of the vector that meets prototypes")
    momentum: float = Field(
        0.996, ge=0, lt=1, description="of the teacher at first; rises to 1 along a cosine"
    )
    student_temperature: float = Field(0.1, gt=0, description="of the student's softmax")
    teacher_temperature: tuple[float, float] = Field(
        (0.04, 0.07), description="of the teacher's softmax, first and last"
    )
    teacher_warmup: float = Field(
        0.3, ge=0, le=1, description="share of steps in which the teacher's temperature rises"
    )
    koleo: float = Field(
        0.1, ge=0, description="weight of the KoLeo loss, which spreads the class tokens"
    )
    centring: Literal["mean", "sinkhorn"] = Field(
        "sinkhorn",
        description="of the teacher's logits: by their running mean (DINO), or so that a batch "
        "uses all prototypes alike (DINOv2 and DINOv3)",
    )
    centre_momentum: float = Field(0.9, ge=0, le=1, description="of the teacher's centre")
    freeze: float = Field(
        0.01, ge=0, le=1, description="share of steps in which prototypes stay as they are"
    )

    MODEL: ClassVar[str] = "a vision transformer"

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % (4 * self.heads):
            msg = f"width ({self.width}) / heads ({self.heads}) must be a multiple of 4"
            raise ValueError(msg)
        for name, side in (("image_size", self.image_size), ("local_side", self.crops.local_side)):
            if side is not None and side % self.patch_size:
                msg = f"{name} ({side}) is no multiple of patch_size ({self.patch_size})"
                raise ValueError(msg)
        return self

    @property
    def side_of_local(self) -> int:
        """Side of local views, pixels: whole patches."""
        half = max(self.patch_size, self.image_size // 2 // self.patch_size * self.patch_size)
        return self.crops.local_side or half

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was trained, for the report's methods."""
        del held_out
        plan = self.training
        return (
            f"self-distillation without labels (DINO) of {self.MODEL} (width {self.width}, "
            f"{self.depth} blocks, patches of {self.patch_size} pixels) from scratch on the "
            f"pictures of {self.dataset}: {plan.steps:,} steps of {plan.batch_size} pictures, "
            f"two global and {self.crops.n_local} local views each"
        )
