"""Models that were trained before: all of their parameters, or adapters alone."""

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, chain, keeps_contract
from gradtx.errors import names_errors
from gradtx.optimizers.adam import adamw
from gradtx.recipes.decay import all_but_norms_and_biases
from gradtx.recipes.warmup import warmup_linear
from gradtx.transforms.clipping import clip_by_global_norm
from gradtx.tree.masks import Mask
from gradtx.tree.patterns import Pattern
from gradtx.wrappers.grouped import Group, grouped

ADAPTERS = ("**/*lora*/**", "**/*LoRA*/**")
"""Paths with "lora" in one of their parts, such as `dense/lora_a` of Flax."""


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE, warmup_steps=require.NONNEGATIVE)
def fine_tuning(
    learning_rate: Scalar = 2e-5,
    *,
    total_steps: int,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    max_norm: float = 1.0,
    mask: Mask | None = all_but_norms_and_biases,
) -> GradientTransformation:
    """Fine-tuning of all parameters: AdamW at a small rate, with a warm-up over the first tenth and a line to 0.

    As published by Mosbach et al., for batches of 16: 2e-5, warm-up over a tenth of the steps, then a line to 0; b1 = 0.9,
    b2 = 0.999, eps = 1e-6, with bias correction, which they found to matter; weight decay 0.01; clipped at a norm of 1; 20
    epochs on small data. Devlin et al. chose among 2e-5, 3e-5 and 5e-5, with 2 to 4 epochs.

    Args:
      learning_rate: the peak.
      total_steps: how many updates the training has, the warm-up included.
      warmup_steps: how many of them the rate rises, from 0; None for a tenth.
      b1, b2, eps, weight_decay, mask: as in `adamw`.
      max_norm: as in `clip_by_global_norm`.

    Raises:
      ValueError: the training ends before the warm-up does, or a number is out of its range.

    References:
      Devlin, Chang, Lee and Toutanova, BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, 2018,
        https://arxiv.org/abs/1810.04805
      Mosbach, Andriushchenko and Klakow, On the Stability of Fine-tuning BERT, 2021, https://arxiv.org/abs/2006.04884
    """
    warmup_steps = total_steps // 10 if warmup_steps is None else warmup_steps
    schedule = warmup_linear(learning_rate, warmup_steps, total_steps)
    return chain(clip_by_global_norm(max_norm), adamw(schedule, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask))


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE, warmup_steps=require.NONNEGATIVE)
def lora(
    learning_rate: Scalar = 2e-4,
    *,
    total_steps: int,
    adapters: Pattern = ADAPTERS,
    warmup_steps: int = 500,
    b1: float = 0.9,
    b2: float = 0.999,
    weight_decay: float = 0.01,
) -> GradientTransformation:
    """LoRA: AdamW for the adapters alone; all else is frozen and takes no memory in the state.

    As published for GPT-2 on E2E, for batches of 8: 2e-4, 500 steps of warm-up, then a line to 0; weight decay 0.01. Rank and
    scale (4 and 32 there) are those of the model.

    Args:
      learning_rate: the peak.
      total_steps: how many updates the training has, the warm-up included.
      adapters: which parameters are trained; `matching` says what a pattern is. By default those that have "lora" or "LoRA" in
        a part of their path.
      warmup_steps: how many of the steps the rate rises, from 0.
      b1, b2, weight_decay: as in `adamw`.

    Raises:
      ValueError: the training ends before the warm-up does, or a number is out of its range; when it is used, if no parameter
        is an adapter.

    References:
      Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, https://arxiv.org/abs/2106.09685
    """
    schedule = warmup_linear(learning_rate, warmup_steps, total_steps)
    optimizer = adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay)
    return grouped(optimizer, [Group(adapters, name="adapters"), Group("**", frozen=True)])
