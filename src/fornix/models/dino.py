"""Self-distillation without labels: a vision transformer, its teacher and their loss.

Caron et al. (2021), with the backbone of DINOv3 (Siméoni et al. 2025) as transformers builds it:
positions are rotations, so that views of any size need no interpolation. Of DINOv3's objective
this is the image-level part and KoLeo; the patch-level part (iBOT) and Gram anchoring aren't here.

A student and a teacher are the same network; a head of three layers maps the class token to a
unit vector, and weight-normed prototypes to logits. The student's softmax for one view has to be
the teacher's for another. The teacher is the student's moving average; its logits are centred by
a running mean, which keeps one prototype from taking all, and sharpened by a low temperature,
which keeps all from being equal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from transformers import DINOv3ViTConfig, DINOv3ViTModel

if TYPE_CHECKING:
    from fornix.study.fits.dino import DinoFit

STD = 0.02
"""Of the head's first weights."""


class Head(nn.Module):
    """Class tokens to logits of prototypes.

    Parameters
    ----------
    width
        Length of a token.
    hidden, bottleneck, prototypes
        As in the section.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        for module in self.layers:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=STD)
                nn.init.zeros_(module.bias)
        self.prototypes = parametrizations.weight_norm(
            nn.Linear(bottleneck, prototypes, bias=False)
        )
        # Prototypes keep the length one: only their directions are learnt.
        length = self.prototypes.parametrizations.weight.original0
        nn.init.ones_(length)
        length.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (view, prototype) of class tokens (view, feature)."""
        return self.prototypes(functional.normalize(self.layers(tokens), dim=-1))  # type: ignore[no-any-return]


class Network(nn.Module):
    """A backbone and its head."""

    def __init__(self, section: DinoFit) -> None:
        super().__init__()
        self.backbone = DINOv3ViTModel(config_of(section))
        self.head = Head(section.width, section.head_width, section.bottleneck, section.prototypes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (view, prototype) of pixels (view, channel, row, column)."""
        return self.head(self.tokens(pixels))  # type: ignore[no-any-return]

    def tokens(self, pixels: Tensor) -> Tensor:
        """Return the class tokens (view, feature)."""
        return self.backbone(pixel_values=pixels).last_hidden_state[:, 0]  # type: ignore[no-any-return]


class Distillation(nn.Module):
    """Student, teacher and centre; all of its state is in its ``state_dict``.

    Parameters
    ----------
    section
        A section of ``fits``. Weights are drawn from torch's generator.
    """

    centre: Tensor

    def __init__(self, section: DinoFit) -> None:
        super().__init__()
        self.section = section
        self.student = Network(section)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(section.prototypes))

    def train(self, mode: bool = True) -> Distillation:
        """Set the student's mode; the teacher is always in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, views: Sequence[Tensor], done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and what there is to watch; move the centre.

        Parameters
        ----------
        views
            The two global views, then the local ones, each (picture, channel, row, column).
        done
            Share of the training that is done, 0 to 1.

        Returns
        -------
        loss
            Mean cross-entropy over all pairs of a teacher's view and another view.
        watch
            ``entropy`` of the teacher's answers and ``entropy_of_mean``, of their mean (nats):
            if the first nears that of a uniform answer, or the second nears 0, the
            representation collapses.
        """
        n, shared = len(views[0]), torch.cat(list(views[:2]))
        with torch.no_grad():
            logits = self.teacher(shared)
            log_taught = self._taught(logits, self._teacher_temperature(done)).view(2, n, -1)
            taught = log_taught.exp()
        tokens = self.student.tokens(shared)
        answers = [self.student.head(tokens)]
        if len(views) > 2:
            answers.append(self.student(torch.cat(list(views[2:]))))
        told = functional.log_softmax(
            torch.cat(answers).view(len(views), n, -1) / self.section.student_temperature, dim=-1
        )
        pairs = torch.einsum("tnk,snk->ts", taught, told)
        same = pairs.diagonal().sum()
        loss = -(pairs.sum() - same) / (n * 2 * (len(views) - 1))
        mean = taught.mean((0, 1))
        watch = {
            "entropy": -(taught * log_taught).sum(-1).mean(),
            "entropy_of_mean": -torch.special.xlogy(mean, mean).sum(),
        }
        if self.section.koleo:
            watch["koleo"] = torch.stack([koleo(one) for one in tokens.view(2, n, -1)]).mean()
            loss = loss + self.section.koleo * watch["koleo"]
        return loss, watch

    def _taught(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the log-probabilities (view, prototype) that are taught; move the centre."""
        if self.section.centring == "sinkhorn":
            return sinkhorn(logits / temperature)
        found = functional.log_softmax((logits - self.centre) / temperature, dim=-1)
        keep = self.section.centre_momentum
        self.centre.mul_(keep).add_(logits.mean(0), alpha=1 - keep)
        return found

    @torch.no_grad()
    def follow(self, done: float) -> None:
        """Move the teacher towards the student, after an optimizer step."""
        start = self.section.momentum
        keep = 1 - (1 - start) * (1 + math.cos(math.pi * min(1.0, done))) / 2
        theirs: list[Tensor] = list(self.student.parameters())
        own: list[Tensor] = list(self.teacher.parameters())
        torch._foreach_lerp_(own, theirs, 1 - keep)

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Return what is trained, for the optimizer: vectors (biases, scales) don't decay.

        Parameters
        ----------
        rate
            Highest learning rate; that of the prototypes, the last group, is held at zero at
            first (see :meth:`hold`).
        """
        last = [one for one in self.student.head.prototypes.parameters() if one.requires_grad]
        ids = {id(one) for one in last}
        rest = [one for one in self.student.parameters() if id(one) not in ids]
        return [
            {"params": [one for one in rest if one.requires_grad and one.ndim > 1]},
            {"params": [one for one in rest if one.requires_grad and one.ndim <= 1],
             "weight_decay": 0.0},
            {"params": last, "lr": rate},
        ]  # fmt: skip

    def hold(self, optimizer: torch.optim.Optimizer, done: float) -> None:
        """Keep the prototypes as they are at first: they would run after random tokens."""
        if done < self.section.freeze:
            optimizer.param_groups[-1]["lr"] = 0.0

    def _teacher_temperature(self, done: float) -> float:
        first, last = self.section.teacher_temperature
        rise = self.section.teacher_warmup
        return last if done >= rise else first + (last - first) * done / rise


def koleo(tokens: Tensor) -> Tensor:
    """Return the Kozachenko-Leonenko loss (Sablayrolles et al. 2019): tokens spread out.

    Parameters
    ----------
    tokens
        (picture, feature); their directions count.

    Returns
    -------
    Tensor
        Minus the mean log distance of each to its nearest neighbour.
    """
    unit = functional.normalize(tokens, dim=-1)
    with torch.no_grad():
        alike = unit @ unit.T
        nearest = alike.fill_diagonal_(-2.0).argmax(1)
    distance = (unit - unit[nearest]).square().sum(1).add(1e-8).sqrt()
    return -distance.log().mean()


def sinkhorn(scores: Tensor, rounds: int = 3) -> Tensor:
    """Return log-probabilities by which all prototypes are used alike in a batch.

    Sinkhorn & Knopp's iteration, as in SwAV (Caron et al. 2020) and DINOv2.

    Parameters
    ----------
    scores
        Logits over temperature, (view, prototype).
    rounds
        Normalisations of the columns and the rows.
    """
    found = scores.double()
    for _ in range(rounds):
        found = found - found.logsumexp(0, keepdim=True)
        found = found - found.logsumexp(1, keepdim=True)
    return found.to(scores.dtype)


def config_of(section: DinoFit) -> DINOv3ViTConfig:
    """Return the backbone's config."""
    return DINOv3ViTConfig(
        image_size=section.image_size,
        patch_size=section.patch_size,
        hidden_size=section.width,
        intermediate_size=4 * section.width,
        num_hidden_layers=section.depth,
        num_attention_heads=section.heads,
        num_register_tokens=section.registers,
        initializer_range=section.initializer_range,
        # Positions aren't jittered: what torch draws for it wouldn't follow from the step.
        pos_embed_rescale=None,
    )


def build(section: DinoFit) -> Distillation:
    """Return an untrained network; its weights are drawn from torch's generator.

    What a pretraining asks of it: ``forward(views, done)`` gives the loss and what to watch,
    ``follow(done)`` comes after each step, ``groups(rate)`` and ``hold(optimizer, done)`` are for
    the optimizer, and ``teacher`` has the ``backbone`` that is kept, and ``tokens(pixels)``.
    """
    return Distillation(section)
