"""Scion (Pethick et al. 2025): each parameter steps to the edge of a ball of its own norm."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.linalg import orthogonalize
from gradtx.numerics import bounded_square, safe_sqrt, squarable, without_infinity
from gradtx.optimizers.muon import MuonDimensionNumbers
from gradtx.optimizers.muon_coefficients import STANDARD, Coefficients, coefficients_of
from gradtx.require import AT_LEAST_ONE, NONNEGATIVE, POSITIVE, Range, in_range
from gradtx.transforms.momentum import ema
from gradtx.transforms.scale import scale_by_learning_rate, scaled
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree import mismatch
from gradtx.tree.along import mean_along
from gradtx.tree.divided import layouts_of, on_whole_matrices
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.holes import is_hole
from gradtx.tree.layout import all_gathered, reshard_like
from gradtx.tree.matrices import Axes, DimensionNumbers, as_matrices, axes_of, fits, from_matrices, numbers_of, sizes
from gradtx.tree.paths import places
from gradtx.tree.patterns import Pattern, check_pattern, first_matches, shown
from gradtx.tree.scopes import as_whole, nothing_placed
from gradtx.tree.unmatched import is_whole, refuse_unused

Norm: TypeAlias = Literal["spectral", "convolution", "sign", "column", "row", "bias"]
Ball: TypeAlias = Norm | tuple[Norm, float]
"""A norm, and the radius of its ball, 1 by default."""

_NORMS: tuple[Norm, ...] = get_args(Norm)
_LAST_AXES = MuonDimensionNumbers(-2, -1)


@factory(ns_steps=AT_LEAST_ONE, ns_eps=NONNEGATIVE)
def scale_by_lmo(
    norm: Ball | Sequence[tuple[Pattern, Ball]],
    *,
    ns_coeffs: Coefficients = STANDARD,
    ns_steps: int = 5,
    eps: float = 1e-8,
    ns_eps: float = 1e-7,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformation:
    """Scion's update: the point of a ball that is the farthest along the gradient, for a ball of each parameter's own norm.

        u = ρ·argmax ⟨g, x⟩ over all x with ‖x‖ ≤ 1          ρ: the radius

        "spectral"       √(outputs/inputs)·UVᵀ of g = UΣVᵀ     by `orthogonalize`
        "convolution"    the same of the matrix (inputs·positions, outputs), over the number of positions of the kernel
        "sign"           sign(g)/inputs
        "column"         g/(rms over the outputs + eps)          for each input apart
        "row"            g/(inputs·rms over the inputs + eps)    for each output apart
        "bias"           g/(rms of all + eps)                    for parameters of any shape

    The names are those of the paper's matrices (outputs, inputs): a column belongs to an input. It is to follow a mean:

        chain(ema(0.9, debias=False), scale_by_lmo([("**/bias", "bias"), ("**", "spectral")]), ...)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      norm: a norm for all parameters, alone or with the radius of its ball, as in ("spectral", 50.0); or these by patterns
        of paths, as in [("head/kernel", ("sign", 3000.0)), ("**/bias", "bias"), ("**", "spectral")], where the first pattern
        that matches counts (`matching` says what a pattern is).
      ns_coeffs, ns_steps: of the Newton-Schulz iterations; see `scale_by_muon`.
      eps: added to what is divided by.
      ns_eps: added to the norm of a matrix before the iterations.
      weight_dimension_numbers: which axes are inputs and outputs; see `scale_by_muon`. By default the last two, as in Flax. Of
        a "convolution" all other axes are positions in its kernel; of the others they count matrices.

    Raises:
      TypeError: `norm` is not of this form.
      ValueError: no norm is called so. And when it is used: a parameter has no norm, or is not a matrix and has a norm of
        matrices, or a pattern matches nothing.

    References:
      Pethick et al., Training Deep Learning Models with Norm-Constrained LMOs, 2025, https://arxiv.org/abs/2502.07529
    """
    _check_balls(norm)
    rows = coefficients_of(ns_coeffs, ns_steps)

    @on_whole_matrices
    @tree.lift(like="g", same_shapes=False)
    def orthogonal(g, *, coefficients):
        whole = all_gathered(g)
        return reshard_like(g, orthogonalize(whole, coefficients, eps=ns_eps).astype(whole.dtype))

    @tree.lift
    def sign(g):
        return jnp.sign(without_infinity(g))

    @functools.cache
    def over_rms(axes: Axes, inputs: int) -> Callable[[Any], Any]:
        @tree.lift
        def rule(g):
            return squarable(g) / (inputs * safe_sqrt(mean_along(bounded_square(g), axes, keepdims=True)) + eps)

        return rule

    def on_matrices(part: Updates, numbers: list[DimensionNumbers | None]) -> Updates:
        matrices, layouts = as_matrices(part, numbers), layouts_of(part, numbers)
        coefficients = jnp.asarray(rows if rows.ndim == 2 else [rows] * ns_steps, float)
        with nothing_placed():
            u = orthogonal(matrices, layouts, coefficients=coefficients)
        return from_matrices(u, part, numbers)

    def init(params: Params) -> EmptyState:
        _leaves_of(norm, params, weight_dimension_numbers)  # raises if they do not fit
        mismatch.check_params(params)
        return EmptyState()

    @tells(whole_matrices=True)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        told = _leaves_of(norm, wide, weight_dimension_numbers)
        leaves, structure = jax.tree.flatten(wide)
        results = list(leaves)
        for kind in dict.fromkeys(leaf.kind for leaf in told):
            chosen = [k for k, leaf in enumerate(told) if leaf.kind == kind]
            part = structure.unflatten(leaf if k in chosen else None for k, leaf in enumerate(leaves))
            if kind == "orthogonal":
                part = on_matrices(part, [told[k].numbers for k in chosen])
            else:
                part = sign(part) if kind == "sign" else over_rms(*kind)(part)
            for k, u in zip(chosen, jax.tree.leaves(part), strict=True):
                results[k] = scaled(u, factor=told[k].factor)
        return tree.cast_like(structure.unflatten(results), updates), state

    return GradientTransformation(init, update)


@factory(momentum=Range(low=0, high=1, low_included=False), ns_steps=AT_LEAST_ONE, ns_eps=NONNEGATIVE)
def scion(
    learning_rate: ScalarOrSchedule,
    norm: Ball | Sequence[tuple[Pattern, Ball]],
    momentum: float = 0.1,
    *,
    unconstrained: bool = False,
    ns_coeffs: Coefficients = STANDARD,
    ns_steps: int = 5,
    eps: float = 1e-8,
    ns_eps: float = 1e-7,
    mu_dtype: DTypeLike | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """Scion: steps to the edge of a ball of each parameter's own norm, in which the parameters stay.

        m ← (1−momentum)·m + momentum·g
        p ← (1−η)·p − η·u           u: the point of the ball that is the farthest along m; see `scale_by_lmo`

        scion(2**-8, [("head/kernel", ("sign", 3000.0)), ("**/bias", "bias"), ("**", ("spectral", 50.0))])

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule; if constrained, also the weight decay.
      norm: the norms, and the radii of their balls, of all parameters or by patterns; see `scale_by_lmo`.
      momentum: the weight of the new gradient in the mean, from 0 to 1, where most optimizers have that of the past.
      unconstrained: whether the parameters do not shrink.
      ns_coeffs, ns_steps, eps, ns_eps, weight_dimension_numbers: as in `scale_by_lmo`.
      mu_dtype: dtype of the mean; by default that of the parameters, float32 at least.

    Raises:
      TypeError: `norm` is not of its form.
      ValueError: a number is out of its range, or a norm does not fit a parameter.

    Conventions:
      Matrices are (inputs, outputs), as in Flax; the authors' are PyTorch's (outputs, inputs), for which
      `MuonDimensionNumbers(1, 0)` is to be given. They iterate in bfloat16.

    References:
      Pethick et al., Training Deep Learning Models with Norm-Constrained LMOs, 2025, https://arxiv.org/abs/2502.07529
    """
    lmo = scale_by_lmo(
        norm,
        ns_coeffs=ns_coeffs,
        ns_steps=ns_steps,
        eps=eps,
        ns_eps=ns_eps,
        weight_dimension_numbers=weight_dimension_numbers,
    )
    return chain(
        ema(1 - momentum, debias=False, accumulator_dtype=mu_dtype),
        lmo,
        *([] if unconstrained else [add_decayed_weights(1.0)]),
        scale_by_learning_rate(learning_rate),
    )


# --- which norm a parameter has ---------------------------------------------------------------------------------------


class _Leaf(NamedTuple):
    """What is done with a leaf: "orthogonal", "sign", or axes of a mean and a factor of it; then a factor of all."""

    kind: Any
    factor: float
    numbers: DimensionNumbers | None


def _check_balls(norm: Any) -> None:
    """Raise `TypeError` or `ValueError` unless `norm` tells balls, for all or by patterns."""
    if _is_by_pattern(norm):
        for row in norm:
            if len(row) != 2:
                raise unnamed(TypeError, f"norm is a list of pairs, each a pattern and a norm; got {row!r}.")
            pattern, ball = row
            check_pattern(pattern)
            _check_ball(ball)
    else:
        _check_ball(norm)


def _is_by_pattern(norm: Any) -> bool:
    """Whether it is a list of pairs, and not a norm, or a norm and a radius."""
    return isinstance(norm, list | tuple) and bool(norm) and all(isinstance(row, list | tuple) for row in norm)


def _check_ball(ball: Any) -> None:
    name, radius = _named(ball)
    if name not in _NORMS:
        raise unnamed(ValueError, f"norm must be one of {', '.join(_NORMS)}, or one with a radius, got {ball!r}.")
    in_range("radius", radius, POSITIVE)


def _named(ball: Any) -> tuple[Any, Any]:
    return (ball[0], ball[1]) if isinstance(ball, tuple | list) and len(ball) == 2 else (ball, 1.0)


def _leaves_of(norm: Any, arrays: Any, given: Any) -> list[_Leaf]:
    """What is done with each leaf, holes left out."""
    whole = as_whole(arrays)
    rows = [(path, leaf) for path, leaf in places(whole) if not is_hole(leaf)]
    balls = _by_pattern(norm, whole) if _is_by_pattern(norm) else [norm] * len(rows)
    numbers = numbers_of(given, arrays, _LAST_AXES)
    return [
        _leaf(path, leaf.shape, *_named(ball), number) for (path, leaf), ball, number in zip(rows, balls, numbers, strict=True)
    ]


def _by_pattern(norm: Any, whole: Any) -> list[Any]:
    patterns, balls, leaves = [row[0] for row in norm], [row[1] for row in norm], places(whole)
    matches = first_matches(patterns, leaves)
    for (path, leaf), match in zip(leaves, matches, strict=True):
        if match is None and not is_hole(leaf):
            raise unnamed(ValueError, f"norm says nothing of {path!r}; the patterns are {', '.join(map(shown, patterns))}.")
    if is_whole(leaves):
        used = {match[0] for match in matches if match is not None}
        for position, pattern in enumerate(patterns):
            if position not in used and pattern != "**":
                refuse_unused(pattern, leaves)
    return [balls[match[0]] for (_, leaf), match in zip(leaves, matches, strict=True) if match and not is_hole(leaf)]


def _leaf(path: str, shape: tuple[int, ...], norm: Norm, radius: float, number: DimensionNumbers | None) -> _Leaf:
    if norm == "bias":
        return _Leaf((tuple(range(len(shape))), 1), radius, None)
    if number is None or not fits(len(shape), number):
        raise unnamed(ValueError, f"{path!r} of shape {shape} is not a matrix, as the norm {norm!r} needs; say 'bias' of it.")
    inputs, outputs = sizes(shape, number)
    ratio = (outputs / max(1, inputs)) ** 0.5
    counting, rows, columns = axes_of(len(shape), number)
    if norm == "spectral":
        return _Leaf("orthogonal", radius * ratio, number)
    if norm == "convolution":
        positions = max(1, math.prod(shape[axis] for axis in counting))
        flat = number._replace(reduction_axis=(*rows, *counting), output_axis=columns)
        return _Leaf("orthogonal", radius * ratio / positions, flat)
    if norm == "sign":
        return _Leaf("sign", radius / max(1, inputs), None)
    return _Leaf((columns, 1) if norm == "column" else (rows, inputs), radius, None)
