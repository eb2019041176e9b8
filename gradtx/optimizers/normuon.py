"""NorMuon (Li et al. 2025): Muon whose neurons all move equally far."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.numerics import bounded_square, safe_sqrt, squarable
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.muon import (
    MuonDimensionNumbers,
    ShapeFactor,
    for_matrices,
    scale_by_matrix_shape,
    scale_by_muon,
    stepping,
)
from gradtx.optimizers.muon_coefficients import Coefficients
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.along import mean_along, size_along, sum_along
from gradtx.tree.masks import Mask
from gradtx.tree.matrices import Axes, axes_of_matrices, by_axes, numbers_of
from gradtx.tree.matrix_blocks import Blocks, check_split, on_blocks, widths_of


class ScaleByRowRmsState(NamedTuple):
    """Means of the squares, for each matrix one for each of its columns, or rows."""

    nu: Updates


@factory
def scale_by_row_rms(
    decay: float = 0.95,
    eps: float = 1e-10,
    *,
    axis: int = -2,
    keep_norm: bool = True,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    split: Blocks | None = None,
) -> GradientTransformation:
    """NorMuon's rescaling: each neuron's update over its root mean square, and the norm of the matrix as it was.

        v ← decay·v + (1−decay)·mean of |u|² along `axis`
        u′ = u / (√v + eps)
        u ← u′·‖u‖ / (‖u′‖ + eps)          with `keep_norm`, else u ← u′

    It follows `scale_by_muon`, whose matrices have singular values near 1 but rows of different norms. The state has a number
    for each neuron. v is not corrected for its bias.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      decay: weight of the past in the mean.
      eps: keeps what is divided by above 0.
      axis: of the matrix (inputs, outputs), along which the mean is taken: -2 for one number for each output, which is a row of
        PyTorch's (outputs, inputs) and the paper's choice; -1 for one for each input.
      keep_norm: whether each matrix keeps its Frobenius norm.
      weight_dimension_numbers: which axes are inputs and outputs; see `scale_by_muon`. All that it sees must be matrices: leave
        the others to another transformation by `masked` or `partition`, as `normuon` does.
      split: matrices of which blocks of outputs keep their norms, with an `axis` of -2; see `scale_by_muon`.

    Raises:
      ValueError: `axis` is another number, or a parameter has no dimension numbers, or other axes than they say.

    References:
      Li et al., NorMuon: Making Muon more efficient and scalable, 2025, https://arxiv.org/abs/2510.05491
    """
    if axis not in (-2, -1):
        raise unnamed(ValueError, f"axis must be -2 (inputs) or -1 (outputs) of the matrices, got {axis!r}.")
    if split and axis == -1:
        raise unnamed(ValueError, "blocks of outputs, as split has them, have no means of their own along axis=-1; use -2.")
    check_split(split)

    @functools.cache
    def rule(averaged: Axes, matrix: Axes) -> Callable[..., Any]:
        @tree.lift(same_shapes=False, like="u v")
        def rule(u, v):
            square = bounded_square(u)
            v = decay * v + (1 - decay) * mean_along(square, averaged)
            scaled = squarable(u) / (jnp.expand_dims(safe_sqrt(v), averaged) + eps)
            return with_norm_of(u, scaled, matrix, eps) if matrix and keep_norm else scaled, v

        return rule

    @tree.lift(like="w")
    def resized(u, w):
        return with_norm_of(u, w, (-2, -1), eps)

    def axes(updates: Any) -> list[tuple[Axes, Axes]]:
        """Of each leaf the axes along which to average, and all of its matrices."""
        numbers = numbers_of(weight_dimension_numbers, updates, MuonDimensionNumbers())
        return [(pair[axis], pair[0] + pair[1]) for pair in axes_of_matrices(updates, numbers)]

    def init(params: Params) -> ScaleByRowRmsState:
        zeros = tree.moment_like(params, real=True)
        # Sums of zeros, so that shards of the other axes stay.
        sums = lambda part, averaged, _: tree.map_leaves(lambda zero: sum_along(zero, averaged), part)  # noqa: E731
        return ScaleByRowRmsState(by_axes(zeros, axes(zeros), sums))

    @tells(decays={"nu": ("decay", decay)})
    def update(updates: Updates, state: ScaleByRowRmsState, params: Params | None = None):
        nu = state.nu

        def rescaled(part: Updates, averaged: Axes, matrix: Axes) -> Updates:
            nonlocal nu
            part, nu = rule(averaged, matrix)(part, nu)
            return part

        numbers = numbers_of(weight_dimension_numbers, updates, MuonDimensionNumbers())
        widths = widths_of(split, updates, numbers)
        kinds = [(averaged, () if cut else matrix) for (averaged, matrix), cut in zip(axes(updates), widths, strict=True)]
        results = by_axes(updates, kinds, rescaled)
        if keep_norm:
            results = on_blocks(resized, numbers, widths, updates, results)
        return results, ScaleByRowRmsState(nu)

    return GradientTransformation(init, update)


def with_norm_of(u: jax.Array, scaled: jax.Array, matrix: Axes, eps: float) -> jax.Array:
    """Return `scaled` with the norms of the matrices in u: by root mean squares, which do not overflow."""
    before, after = (safe_sqrt(mean_along(bounded_square(x), matrix, keepdims=True)) for x in (u, scaled))
    return scaled * (before / (after + eps / max(1, size_along(u, matrix)) ** 0.5))


@factory(
    beta=DECAY,
    row_decay=DECAY,
    row_eps=NONNEGATIVE,
    ns_steps=AT_LEAST_ONE,
    adam_b1=DECAY,
    adam_b2=DECAY,
    adam_eps=NONNEGATIVE,
    adam_weight_decay=NONNEGATIVE,
    adam_learning_rate=NONNEGATIVE,
)
def normuon(
    learning_rate: ScalarOrSchedule,
    beta: float = 0.95,
    row_decay: float = 0.95,
    eps: float = 1e-7,
    row_eps: float = 1e-10,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    ns_coeffs: Coefficients = "standard",
    ns_steps: int = 5,
    nesterov: bool = True,
    axis: int = -2,
    bias_correction: bool = False,
    shape_factor: ShapeFactor = "jordan",
    split: Blocks | None = None,
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_eps: float = 1e-8,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """NorMuon: Muon with a second moment for each neuron; parameters that are not matrices use AdamW.

        u = UVᵀ of the mean m = UΣVᵀ of the gradient        see `scale_by_muon`
        v ← row_decay·v + (1−row_decay)·mean of u² over the inputs
        u′ = u / (√v + row_eps)                            see `scale_by_row_rms`
        Δp = −η·(√max(1, outputs/inputs)·u′·‖u‖/‖u′‖ + weight_decay·p)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      beta, eps, mu_dtype, ns_coeffs, ns_steps, nesterov, bias_correction: as in `scale_by_muon`.
      shape_factor: the factor of u by its name, instead of √max(1, outputs/inputs); see `scale_by_matrix_shape`.
      split: matrices of which blocks are orthogonalized, and scaled, apart; see `muon`.
      row_decay, row_eps, axis: `decay`, `eps` and `axis` of `scale_by_row_rms`.
      weight_decay, weight_decay_mask: of the matrices; see `add_decayed_weights`.
      adam_b1, adam_b2, adam_eps: `b1`, `b2` and `eps` of `scale_by_adam`.
      adam_weight_decay, adam_learning_rate: those of parameters that are not matrices; the learning rate is η by default.
      muon_weight_dimension_numbers: which parameters are matrices, and of which axes; see `muon`.

    Conventions:
      Matrices are (inputs, outputs), as in Flax; the authors' are PyTorch's (outputs, inputs), for which
      `MuonDimensionNumbers(1, 0)` is to be given. As theirs, the mean is not corrected for its bias, unlike that of `muon`.
      They iterate in bfloat16.

    References:
      Li et al., NorMuon: Making Muon more efficient and scalable, 2025, https://arxiv.org/abs/2510.05491
    """

    def matrices(numbers: Callable[[Any], Any]) -> Transformation:
        return chain(
            scale_by_muon(
                ns_coeffs,
                ns_steps,
                beta,
                eps,
                mu_dtype,
                nesterov=nesterov,
                bias_correction=bias_correction,
                weight_dimension_numbers=numbers,
                split=split,
            ),
            scale_by_row_rms(row_decay, row_eps, axis=axis, weight_dimension_numbers=numbers, split=split),
            scale_by_matrix_shape(numbers, shape_factor=shape_factor, split=split),
            add_decayed_weights(weight_decay, weight_decay_mask),
            scale_by_learning_rate(learning_rate),
        )

    direction = scale_by_adam(adam_b1, adam_b2, adam_eps, mu_dtype=mu_dtype)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    others = stepping(direction, adam_weight_decay, weight_decay_mask, rate)
    return for_matrices(matrices, others, muon_weight_dimension_numbers, split)
