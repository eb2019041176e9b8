"""Muon (Jordan et al. 2024), with Adam for what is not a matrix."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

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
    Transformation,
    Updates,
    chain,
    factory,
    init_empty_state,
    tells,
)
from gradtx.errors import unnamed
from gradtx.linalg import Preconditioning, orthogonalize
from gradtx.numerics import Count, debias, safe_increment, without_infinity
from gradtx.optimizers.adam import debias_mean, scale_by_adam
from gradtx.optimizers.muon_coefficients import STANDARD, Coefficients, coefficients_of
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate, scaled
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.divided import layouts_of, on_whole_matrices
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import all_gathered, reshard_like
from gradtx.tree.masks import Mask, is_function
from gradtx.tree.matrices import (
    DimensionNumbers,
    as_matrices,
    axes_of_matrices,
    for_each_leaf,
    from_matrices,
    is_numbers,
    numbers_of,
)
from gradtx.tree.matrix_blocks import Blocks, check_all_match, check_split, cut, for_blocks, joined, on_blocks, widths_of
from gradtx.tree.paths import places
from gradtx.tree.scopes import as_whole, nothing_placed
from gradtx.tree.unmatched import is_whole
from gradtx.wrappers.partition import partition


class MuonDimensionNumbers(DimensionNumbers):
    """Which axes of an array are the rows (inputs) and the columns (outputs) of its matrices; all others count matrices."""


class MuonState(NamedTuple):
    """Steps taken, mean of the gradient, coefficients of the iterations."""

    count: Count
    mu: Updates
    ns_coeffs: jax.Array


@factory(beta=DECAY, ns_steps=AT_LEAST_ONE)
def scale_by_muon(
    ns_coeffs: Coefficients = STANDARD,
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Preconditioning = "frobenius",
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    bias_correction: bool = True,
    ns_dtype: DTypeLike | None = None,
    eps_as_floor: bool = False,
    sign: bool = False,
    split: Blocks | None = None,
) -> GradientTransformation:
    """Muon's update: momentum, orthogonalized: the nearest matrix whose singular values are all 1.

        m ← beta·m + (1−beta)·g       m̂ = m / (1−betaᵗ), or with `nesterov` the mean of one step ahead
        u = UVᵀ of m̂ = UΣVᵀ           by `orthogonalize`

    Of matrices that are split among devices each device orthogonalizes some; see `muon`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      ns_coeffs: the coefficients (a, b, c) of all Newton-Schulz iterations, or a row of them for each iteration, or a preset:
        - "standard" (also called "muon"): Jordan's;
        - "dion" (also called "quintic"): five rows of You Jiacheng, after which well conditioned matrices have singular values
          of 0.98 to 1.03 (standard: 0.68 to 1.13);
        - "polar_express": five rows of Amsel et al., which bring small singular values up the fastest; digits, and the margin
          of 1.02 by which the norm is multiplied, as in modded-nanogpt (which adds 1e-6 then: that is an eps of 1e-6/1.02).
      ns_steps: number of iterations; given rows, it is their number. Of the rows of a preset the first so many are taken, and
        further iterations have (1.875, −1.25, 0.375).
      beta: decay of the mean.
      eps: added to what is divided by before the iterations; see `orthogonalize`.
      mu_dtype: dtype in which the mean is kept; by default that of the parameters, float32 at least.
      nesterov: whether to use Nesterov's momentum.
      adaptive: whether to multiply each matrix u by the sum of the singular values of its m̂ (their inner product).
      preconditioning: how to scale before the iterations; see `orthogonalize`.
      weight_dimension_numbers: a tree like the parameters of `MuonDimensionNumbers`, or a function that makes one of them; by
        default each array is a matrix (inputs, outputs).
      bias_correction: whether to divide the mean by the weight accumulated so far. The direction of m is the same without;
        that of Nesterov's momentum is not.
      ns_dtype: dtype of the iterations, such as bfloat16; by default that of the mean.
      eps_as_floor: whether eps is the least that is divided by, and not added to it.
      sign: whether the sign of each entry of m̂ is orthogonalized (as in AdaMuon) and not m̂ itself.
      split: blocks of outputs that are orthogonalized apart, each as a matrix of its own: by patterns of paths (see `matching`)
        how many equal blocks there are, as 3 of a fused projection or the number of heads, or how many outputs each has.

    Raises:
      ValueError: the coefficients are not of this form, a word is unknown, or an array has other axes than said.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
      Bernstein and Newhouse, Old Optimizer, New Norm: An Anthology, 2024, https://arxiv.org/abs/2409.20325
      Amsel et al., The Polar Express: Optimal Matrix Sign Methods and Their Application to the Muon Algorithm, 2025,
        https://arxiv.org/abs/2505.16932
    """
    rows = coefficients_of(ns_coeffs, ns_steps)
    tree.check_moment_dtype(mu_dtype)
    check_split(split)

    @tree.lift
    def mean(g, m, *, debias1, next_debias1):
        m = beta * m + (1 - beta) * g
        mean = debias_mean(g, m, beta, debias1, next_debias1, nesterov)
        return jnp.sign(without_infinity(mean)) if sign else mean, m

    @on_whole_matrices
    @tree.lift(like="m", same_shapes=False)
    def rule(m, *, coefficients):
        whole = all_gathered(m)
        u = orthogonalize(whole, coefficients, preconditioning, eps, ns_dtype, eps_as_floor).astype(whole.dtype)
        u = u * jnp.sum(jnp.real(jnp.conj(whole) * u), axis=(-2, -1), keepdims=True) if adaptive else u
        return reshard_like(m, u)

    def init(params: Params) -> MuonState:
        mu = tree.moment_like(params, mu_dtype)
        numbers_of(weight_dimension_numbers, mu, MuonDimensionNumbers())  # raises if they do not fit
        return MuonState(jnp.zeros((), jnp.int32), mu, jnp.array(rows, float))

    @tells(decays={"mu": ("beta", beta)}, whole_matrices=True)
    def update(updates: Updates, state: MuonState, params: Params | None = None):
        count = safe_increment(state.count)
        weights = {"debias1": 1.0, "next_debias1": 1.0}
        if bias_correction:
            weights = {"debias1": debias(beta, count), "next_debias1": debias(beta, safe_increment(count))}
        wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        means, mu = mean(wide, state.mu, **weights)
        coefficients = state.ns_coeffs if state.ns_coeffs.ndim == 2 else jnp.tile(state.ns_coeffs, (ns_steps, 1))
        numbers = numbers_of(weight_dimension_numbers, means, MuonDimensionNumbers())
        matrices, widths = as_matrices(means, numbers), widths_of(split, means, numbers)
        layouts = for_blocks(layouts_of(means, numbers), widths)
        with nothing_placed():
            orthogonal = joined(rule(cut(matrices, widths), layouts, coefficients=coefficients), matrices, widths)
        return tree.cast_like(from_matrices(orthogonal, means, numbers), updates), MuonState(count, mu, state.ns_coeffs)

    return GradientTransformation(init, update)


ShapeFactor: TypeAlias = Literal["jordan", "scion", "moonlight", "unit_rms"]
# Of the numbers of inputs and of outputs.
_FACTORS: Mapping[str, Callable[[int, int], float]] = {
    "jordan": lambda inputs, outputs: max(1, outputs / inputs) ** 0.5,
    "scion": lambda inputs, outputs: (outputs / inputs) ** 0.5,
    "moonlight": lambda inputs, outputs: 0.2 * max(inputs, outputs) ** 0.5,
    "unit_rms": lambda inputs, outputs: max(inputs, outputs) ** 0.5,
}


@factory(consistent_rms=NONNEGATIVE)
def scale_by_matrix_shape(
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    consistent_rms: float | None = None,
    *,
    shape_factor: ShapeFactor = "jordan",
    split: Blocks | None = None,
) -> GradientTransformation:
    """Muon's scale: multiply the update of each matrix by a factor of its shape.

        "jordan"          √max(1, outputs/inputs)
        "scion"           √(outputs/inputs)
        "moonlight"       0.2·√max(inputs, outputs)
        "unit_rms"        √max(inputs, outputs)
        consistent_rms    consistent_rms·√max(inputs, outputs)

    Applied to orthogonal matrices, the first two keep what a step changes in the outputs of a layer the same for layers of all
    widths, in a layer that has more inputs than outputs "jordan" less so; with the others the root mean square of every update
    is 0.2 (about that of Adam's), 1, or `consistent_rms`.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      weight_dimension_numbers: which axes are inputs and outputs; see `scale_by_muon`.
      consistent_rms: the root mean square, or None for the factor by name.
      shape_factor: the name of the factor.
      split: blocks of outputs that have factors of their own; see `scale_by_muon`.

    Conventions:
      "jordan" is that of Jordan's code, of PyTorch by default, and of Optax; "scion" that of Scion and of Dion; "moonlight"
      that of Liu et al. and of PyTorch's "match_rms_adamw". Keras multiplies by consistent_rms, 0.2 by default.

    Raises:
      ValueError: a parameter has no dimension numbers, or other axes than they say; a word is unknown, or there are both.

    References:
      Bernstein and Newhouse, Old Optimizer, New Norm: An Anthology, 2024, https://arxiv.org/abs/2409.20325
      Pethick et al., Training Deep Learning Models with Norm-Constrained LMOs, 2025, https://arxiv.org/abs/2502.07529
      Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
    """

    if consistent_rms is not None and shape_factor != "jordan":
        raise unnamed(ValueError, f"there is consistent_rms and shape_factor={shape_factor!r}; give one of them.")

    check_split(split)

    def factor(inputs: int, outputs: int) -> Any:
        if consistent_rms is not None:
            return max(inputs, outputs) ** 0.5 * consistent_rms
        return _FACTORS[shape_factor](max(1, inputs), outputs)

    def of_blocks(blocks: Any) -> Any:
        return jax.tree.map(lambda block: scaled(block, factor=factor(*block.shape[-2:])), blocks)

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        leaves, structure = jax.tree.flatten(updates)
        numbers = numbers_of(weight_dimension_numbers, updates, MuonDimensionNumbers())
        axes, widths = axes_of_matrices(updates, numbers), widths_of(split, updates, numbers)
        factors = [
            1.0 if each else factor(*(math.prod(whole.shape[axis] for axis in part) for part in its_axes))
            for whole, its_axes, each in zip(jax.tree.leaves(as_whole(updates)), axes, widths, strict=True)
        ]
        whole = structure.unflatten(scaled(g, factor=each) for g, each in zip(leaves, factors, strict=True))
        return on_blocks(of_blocks, numbers, widths, whole), state

    return GradientTransformation(init_empty_state, update)


@factory(
    beta=DECAY,
    ns_steps=AT_LEAST_ONE,
    adam_b1=DECAY,
    adam_b2=DECAY,
    adam_eps_root=NONNEGATIVE,
    adam_weight_decay=NONNEGATIVE,
    adam_learning_rate=NONNEGATIVE,
    consistent_rms=NONNEGATIVE,
)
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Coefficients = (3.4445, -4.775, 2.0315),
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Preconditioning = "frobenius",
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_eps_root: float = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
    consistent_rms: float | None = None,
    shape_factor: ShapeFactor = "jordan",
    split: Blocks | None = None,
) -> GradientTransformationExtraArgs:
    """Muon: orthogonalized momentum for matrices; parameters that are not matrices use AdamW.

        u = UVᵀ of the mean m̂ = UΣVᵀ of the gradient        see `scale_by_muon`
        u ← u·√max(1, outputs/inputs)                      or, with `consistent_rms`, u·consistent_rms·√max(inputs, outputs)
        Δp = −η·(u + weight_decay·p)

    Matrices are (inputs, outputs), as in Flax; PyTorch's are the other way round. A `consistent_rms` of 0.2 gives updates the
    root mean square of AdamW's, so that both can have one learning rate.

    Of matrices that are split among devices (FSDP, tensor parallelism) each device orthogonalizes some, which it is sent whole,
    if it is known how they are split: as on a mesh of explicit axes, or outside of `jit`; under `jit` on a mesh of auto axes
    write `sharded(muon(...), layout=...)`. Else the compiler divides each product, and sends up to 35 times as much.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      ns_coeffs, ns_steps, beta, adaptive, preconditioning: as in `scale_by_muon`.
      eps, mu_dtype, nesterov: as in `scale_by_muon` and `scale_by_adam`, in both parts.
      weight_decay: of the matrices, a number or a schedule.
      weight_decay_mask: which parameters decay; see `add_decayed_weights`.
      adam_b1, adam_b2, adam_eps_root: `b1`, `b2` and `eps_root` of `scale_by_adam`.
      adam_weight_decay, adam_learning_rate: those of parameters that are not matrices; the learning rate is η by default.
      muon_weight_dimension_numbers: a tree like the parameters with a `MuonDimensionNumbers` for each that is to be seen as
        matrices, and None for each that uses AdamW, or a tree that ends above the leaves; or a function that makes one of
        the parameters. By default arrays of two axes are matrices.
      consistent_rms: see above.
      shape_factor: another factor by its name; see `scale_by_matrix_shape`.
      split: matrices of which blocks are orthogonalized, and scaled, apart: `{"**/qkv/kernel": 3}` for queries, keys and values
        of one projection, `{"**/qkv/kernel": (512, 128, 128)}` if there are fewer keys, the number of heads for each of them.

    Conventions:
      Matrices are (inputs, outputs), as in Flax and Keras; PyTorch's are the other way round. The mean is corrected for its
      bias, as in Optax; that of PyTorch and Keras is not, which matters with Nesterov's momentum. PyTorch iterates in bfloat16
      and has no Adam for what is not a matrix. Exactly theirs are `interop.torch.muon` and `interop.keras.muon`.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
      Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
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
                adaptive=adaptive,
                preconditioning=preconditioning,
                weight_dimension_numbers=numbers,
                split=split,
            ),
            scale_by_matrix_shape(numbers, consistent_rms, shape_factor=shape_factor, split=split),
            add_decayed_weights(weight_decay, weight_decay_mask),
            scale_by_learning_rate(learning_rate),
        )

    direction = scale_by_adam(adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    others = stepping(direction, adam_weight_decay, weight_decay_mask, rate)
    return for_matrices(matrices, others, muon_weight_dimension_numbers, split)


def stepping(
    direction: Transformation, weight_decay: ScalarOrSchedule, mask: Mask | None, learning_rate: ScalarOrSchedule
) -> GradientTransformationExtraArgs:
    """Make an optimizer of a direction, as Muon and its relatives do for parameters that are not matrices."""
    return chain(direction, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))


def for_matrices(
    matrices: Callable[[Callable[[Any], Any]], Transformation],
    others: Transformation,
    given: Any | Callable[[Params], Any] | None,
    split: Blocks | None = None,
) -> GradientTransformationExtraArgs:
    """Partition parameters into those that are matrices and the others, as Muon and its relatives do.

    Args:
      matrices: makes the transformation of the matrices, of a function that tells the dimension numbers of each.
      others: the transformation of the others.
      given: `muon_weight_dimension_numbers` of `muon`.
      split: of `muon`; its patterns must each match a matrix.
    """

    def numbers(tree: Any) -> Any:
        """Dimension numbers for the matrices, None for the others, in a tree like the parameters."""
        if given is None:
            return jax.tree.map(lambda p: MuonDimensionNumbers() if p.ndim == 2 else None, tree)
        return for_each_leaf(given(tree) if is_function(given) else given, tree)

    def labels(tree: Any) -> Any:
        found = numbers(tree)
        if split and is_whole(places(tree)):
            check_all_match(split, jax.tree.map(lambda number, p: number and p, found, tree, is_leaf=is_numbers))
        return jax.tree.map(lambda number: "adam" if number is None else "muon", found, is_leaf=is_numbers)

    return partition({"muon": matrices(numbers), "adam": others}, labels)
