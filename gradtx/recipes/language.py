"""Language models that are trained from the beginning."""

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, chain, keeps_contract
from gradtx.errors import names_errors
from gradtx.optimizers.adam import adamw
from gradtx.recipes.decay import all_but_norms_and_biases
from gradtx.recipes.warmup import warmup_cosine, warmup_linear
from gradtx.transforms.clipping import clip_by_global_norm
from gradtx.tree.masks import Mask


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE, warmup_steps=require.NONNEGATIVE, end_fraction=require.Range(low=0, high=1))
def transformer(
    learning_rate: Scalar = 3e-4,
    *,
    total_steps: int,
    warmup_steps: int = 2000,
    end_fraction: float = 0.1,
    b1: float = 0.9,
    b2: float = 0.95,
    eps: float = 1e-5,
    weight_decay: float = 0.1,
    max_norm: float = 1.0,
    mask: Mask | None = all_but_norms_and_biases,
) -> GradientTransformation:
    """Language model: AdamW with a short second moment, warm-up, a cosine to a tenth, gradients clipped by their norm.

    As published for Llama 2, for batches of 4 million tokens: 3e-4 for 7 and 13 billion parameters, 1.5e-4 for more; 2000 steps
    of warm-up, then a cosine to a tenth; b1 = 0.9, b2 = 0.95, eps = 1e-5; weight decay 0.1; clipped at a norm of 1. The paper
    does not say what decays: that norms and biases do not is the custom of the field.

    Args:
      learning_rate: the peak.
      total_steps: how many updates the training has, the warm-up included.
      warmup_steps: how many of them the rate rises, from 0.
      end_fraction: the last rate over the peak.
      b1, b2, eps, weight_decay, mask: as in `adamw`.
      max_norm: as in `clip_by_global_norm`.

    Raises:
      ValueError: the training ends before the warm-up does, or a number is out of its range.

    References:
      Touvron et al., Llama 2: Open Foundation and Fine-Tuned Chat Models, 2023, https://arxiv.org/abs/2307.09288
    """
    schedule = warmup_cosine(learning_rate, warmup_steps, total_steps, end_fraction)
    return chain(clip_by_global_norm(max_norm), adamw(schedule, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask))


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE, warmup_steps=require.NONNEGATIVE)
def bert(
    learning_rate: Scalar = 1e-4,
    *,
    total_steps: int,
    warmup_steps: int = 10_000,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    max_norm: float = 1.0,
    mask: Mask | None = all_but_norms_and_biases,
) -> GradientTransformation:
    """BERT, pre-trained: AdamW with a linear warm-up and a line to 0.

    As published, for 1 000 000 steps of 256 sequences: 1e-4, warm-up over the first 10 000 steps, b1 = 0.9, b2 = 0.999, weight
    decay 0.01. From the authors' code (https://github.com/google-research/bert, optimization.py) are eps = 1e-6, the norm of 1
    at which gradients are clipped, and that norms and biases do not decay.

    Two things differ from that code: its Adam has no bias correction, and its line begins at step 0, so that the rate jumps
    down by a hundredth after the warm-up; here it begins at the peak.

    Args:
      learning_rate: the peak.
      total_steps: how many updates the training has, the warm-up included.
      warmup_steps: how many of them the rate rises, from 0.
      b1, b2, eps, weight_decay, mask: as in `adamw`.
      max_norm: as in `clip_by_global_norm`.

    Raises:
      ValueError: the training ends before the warm-up does, or a number is out of its range.

    References:
      Devlin, Chang, Lee and Toutanova, BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, 2018,
        https://arxiv.org/abs/1810.04805
    """
    schedule = warmup_linear(learning_rate, warmup_steps, total_steps)
    return chain(clip_by_global_norm(max_norm), adamw(schedule, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask))
