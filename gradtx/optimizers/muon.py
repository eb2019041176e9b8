"""Muon (Jordan et al. 2024), with Adam for what is no matrix."""

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import DTypeLike

from gradtx.core import (
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    chain,
    factory,
)
from gradtx.linalg import Preconditioning
from gradtx.require import AT_LEAST_ONE, DECAY, NONNEGATIVE
from gradtx.transforms.adam import scale_by_adam
from gradtx.transforms.muon import Coefficients, MuonDimensionNumbers, scale_by_matrix_shape, scale_by_muon
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.mask import Mask, is_function
from gradtx.tree.matrices import for_each_leaf, is_numbers
from gradtx.wrappers.partition import partition


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
) -> GradientTransformationExtraArgs:
    """Descend along orthogonalized momentum, matrix by matrix; all that is no matrix is left to Adam.

        u = UVᵀ of the mean m̂ = UΣVᵀ of the gradient        see `scale_by_muon`
        u ← u·√max(1, outputs/inputs)                      or, with `consistent_rms`, u·consistent_rms·√max(inputs, outputs)
        Δp = −η·(u + weight_decay·p)

    Matrices are (inputs, outputs), as in Flax; PyTorch's are the other way round. A `consistent_rms` of 0.2 gives updates the
    root mean square of AdamW's, so that both can have one learning rate.

    Args:
      learning_rate: η, a number or a schedule.
      ns_coeffs: coefficients of the iterations, or a preset; see `scale_by_muon`.
      ns_steps: number of iterations.
      beta: decay of the mean.
      eps: added to what is divided by, in both parts.
      weight_decay: of the matrices, a number or a schedule.
      weight_decay_mask: which parameters decay; see `add_decayed_weights`.
      mu_dtype: dtype in which the means are kept; by default that of the parameters, float32 at least.
      nesterov: whether to use Nesterov's momentum, in both parts.
      adaptive: whether u is multiplied by the sum of the singular values of m̂.
      preconditioning: how to scale before the iterations; see `orthogonalize`.
      adam_b1: decay of Adam's mean.
      adam_b2: decay of Adam's mean square.
      adam_eps_root: added inside of Adam's root.
      adam_weight_decay: of all that is no matrix.
      adam_learning_rate: of all that is no matrix; by default η.
      muon_weight_dimension_numbers: a tree like the parameters with a `MuonDimensionNumbers` for each that is to be seen as
        matrices, and None for each that is left to Adam, or a tree that ends above the leaves; or a function that makes one of
        the parameters. By default arrays of two axes are matrices.
      consistent_rms: see above.

    Raises:
      ValueError: see `scale_by_muon`.

    Conventions:
      Matrices are (inputs, outputs), as in Flax and Keras; PyTorch's are the other way round. The mean is corrected for its
      bias, as in Optax; that of PyTorch and Keras is not, which matters with Nesterov's momentum. PyTorch iterates in bfloat16
      and has no Adam for what is no matrix. Exactly theirs are `interop.torch.muon` and `interop.keras.muon`.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
      Liu et al., Muon is Scalable for LLM Training, 2025, https://arxiv.org/abs/2502.16982
    """

    def numbers(tree: Any) -> Any:
        """Dimension numbers for the matrices, None for the others, in a tree like the parameters."""
        if muon_weight_dimension_numbers is None:
            return jax.tree.map(lambda p: MuonDimensionNumbers() if p.ndim == 2 else None, tree)
        given = muon_weight_dimension_numbers
        return for_each_leaf(given(tree) if is_function(given) else given, tree)

    def labels(tree: Any) -> Any:
        return jax.tree.map(lambda number: "adam" if number is None else "muon", numbers(tree), is_leaf=is_numbers)

    matrices = chain(
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
        ),
        scale_by_matrix_shape(numbers, consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    others: Transformation = chain(
        scale_by_adam(adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(adam_weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate if adam_learning_rate is None else adam_learning_rate),
    )
    return partition({"muon": matrices, "adam": others}, labels)
