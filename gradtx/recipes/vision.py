"""Classifiers of images: convolutional networks and vision transformers."""

from collections.abc import Sequence
from typing import Literal

from gradtx import require
from gradtx.core import GradientTransformation, Scalar, chain, keeps_contract
from gradtx.errors import names_errors, unnamed
from gradtx.optimizers.adam import adamw
from gradtx.optimizers.sgd import sgd
from gradtx.recipes.decay import all_but_norms_and_biases
from gradtx.recipes.warmup import warmup_cosine
from gradtx.schedules import cosine_decay_schedule, multi_step_decay_schedule
from gradtx.transforms.clipping import clip_by_global_norm
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.masks import Mask


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE)
def cnn(
    learning_rate: Scalar = 0.1,
    *,
    total_steps: int,
    decay: Literal["steps", "cosine"] = "steps",
    boundaries: Sequence[int] | None = None,
    decay_rate: float = 0.1,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Convolutional network, such as a ResNet: SGD with momentum, a rate that falls by steps, and an L2 penalty.

    As published: 0.1, divided by 10 after a half and after three quarters of the training (CIFAR-10: 64 000 steps of 128
    images, divided after 32 000 and 48 000); momentum 0.9, weight decay 1e-4 on all parameters. On ImageNet the rate was the
    same at 256 images, and was divided when the error stopped falling; `reduce_on_plateau` does that.

    Args:
      learning_rate: the first rate. Goyal et al. multiply it by the batch size over 256.
      total_steps: how many updates the training has.
      decay: "steps", or "cosine" for half a cosine to 0 (Loshchilov and Hutter).
      boundaries: the steps at which the rate falls, instead of a half and three quarters of `total_steps`.
      decay_rate: what the rate is multiplied by there.
      momentum, nesterov: as in `sgd`.
      weight_decay: of the L2 penalty, which is added to the gradient.
      mask: what decays, see `add_decayed_weights`; None for all, as published. Goyal et al. leave out the scales and the
        offsets of norms: `all_but_norms_and_biases`.

    Raises:
      ValueError: `boundaries` are given for a cosine, or a number is out of its range.

    References:
      He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2015, https://arxiv.org/abs/1512.03385
      Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017, https://arxiv.org/abs/1706.02677
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    """
    if decay == "cosine":
        if boundaries is not None:
            raise unnamed(ValueError, 'boundaries are those of decay="steps"; a cosine has none.')
        schedule = cosine_decay_schedule(learning_rate, decay_steps=total_steps)
    else:
        falls = [total_steps // 2, total_steps * 3 // 4] if boundaries is None else list(boundaries)
        schedule = multi_step_decay_schedule(learning_rate, boundaries=falls, decay_rate=decay_rate)
    return chain(
        add_decayed_weights(weight_decay, mask=mask),
        sgd(schedule, momentum=momentum, nesterov=nesterov),
    )


@names_errors
@keeps_contract(total_steps=require.AT_LEAST_ONE, warmup_steps=require.NONNEGATIVE)
def vit(
    learning_rate: Scalar = 1e-3,
    *,
    total_steps: int,
    warmup_steps: int = 10_000,
    b1: float = 0.9,
    b2: float = 0.999,
    weight_decay: float = 0.1,
    max_norm: float = 1.0,
    mask: Mask | None = all_but_norms_and_biases,
) -> GradientTransformation:
    """Vision transformer, pre-trained: AdamW with a linear warm-up and a cosine to 0, gradients clipped by their norm.

    As published by Steiner et al., for batches of 4096 images: 1e-3, 10 000 steps of warm-up, Adam's defaults, weight decay 0.1
    (0.03 with more augmentation), clipped at a norm of 1. Dosovitskiy et al. have a line to 0 after the warm-up, 1e-3 and 0.03
    on ImageNet-21k, and 3e-3 and 0.3 with a cosine on ImageNet. In their code only the kernels of layers decay; the mask here
    also lets position embeddings decay.

    Args:
      learning_rate: the peak.
      total_steps: how many updates the training has, the warm-up included.
      warmup_steps: how many of them the rate rises, from 0.
      b1, b2, weight_decay, mask: as in `adamw`.
      max_norm: as in `clip_by_global_norm`.

    Raises:
      ValueError: the training ends before the warm-up does, or a number is out of its range.

    References:
      Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, 2020,
        https://arxiv.org/abs/2010.11929
      Steiner et al., How to train your ViT? Data, Augmentation, and Regularization in Vision Transformers, 2021,
        https://arxiv.org/abs/2106.10270
    """
    schedule = warmup_cosine(learning_rate, warmup_steps, total_steps)
    return chain(clip_by_global_norm(max_norm), adamw(schedule, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask))
