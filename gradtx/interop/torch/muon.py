"""torch.optim.Muon."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.tree_util import keystr
from jax.typing import DTypeLike

from gradtx.core import GradientTransformationExtraArgs, Params, ScalarOrSchedule, factory
from gradtx.interop.torch.composition import composed
from gradtx.optimizers.muon import MuonDimensionNumbers, scale_by_matrix_shape, scale_by_muon
from gradtx.require import DECAY, Range


def _outputs_by_inputs(params: Params) -> Any:
    """Dimension numbers for torch's matrices."""

    def number(path: Any, p: Any) -> MuonDimensionNumbers:
        if p.ndim != 2:
            raise ValueError(
                f"muon: {keystr(path)} has the shape {p.shape}, which is not a matrix: "
                "leave it to another optimizer by partition."
            )
        return MuonDimensionNumbers(reduction_axis=1, output_axis=0)

    return jax.tree_util.tree_map_with_path(number, params)


@factory(momentum=DECAY, ns_steps=Range(low=1, high=99))
def muon(
    lr: ScalarOrSchedule = 1e-3,
    weight_decay: ScalarOrSchedule = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None,
    *,
    ns_dtype: DTypeLike | None = jnp.bfloat16,
    weight_dimension_numbers: Any | Callable[[Params], Any] = _outputs_by_inputs,
) -> GradientTransformationExtraArgs:
    """Descend as torch's Muon does, along orthogonalized momentum; every parameter must be a matrix.

        m ← momentum·m + (1−momentum)·g          or, with `nesterov`, what it would be if g came once more
        u = UVᵀ of m = UΣVᵀ                      in bfloat16
        Δp = −lr·(s·u + weight_decay·p)

    The factor s is √max(1, outputs/inputs), or 0.2·√max(outputs, inputs) by "match_rms_adamw". torch's matrices are (outputs,
    inputs), and so they are taken here: for the kernels of Flax or Keras, which are (inputs, outputs), give
    `weight_dimension_numbers=gradtx.MuonDimensionNumbers()`. Parameters that are not matrices need an optimizer of their
    own, by `gradtx.partition`; `gradtx.muon` has Adam for them.

    Args:
      lr: learning rate, a number or a schedule.
      weight_decay: factor of the decay, decoupled.
      momentum: decay of the mean, which is not corrected for its bias.
      nesterov: whether to look one step ahead.
      ns_coefficients: coefficients of the iterations; see `scale_by_muon`.
      eps: the least norm that is divided by.
      ns_steps: number of iterations.
      adjust_lr_fn: which factor s; None is "original".
      ns_dtype: dtype of the iterations; None for that of the mean.
      weight_dimension_numbers: which axes are which; see `scale_by_muon`.

    Raises:
      ValueError: a number is out of its range, a word is unknown, or a parameter is not a matrix.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
    """
    direction = scale_by_muon(
        ns_coefficients,
        ns_steps,
        momentum,
        eps,
        nesterov=nesterov,
        weight_dimension_numbers=weight_dimension_numbers,
        bias_correction=False,
        ns_dtype=ns_dtype,
        eps_as_floor=True,
    )
    shape_factor = scale_by_matrix_shape(weight_dimension_numbers, 0.2 if adjust_lr_fn == "match_rms_adamw" else None)
    return composed(direction, shape_factor, lr=lr, weight_decay=weight_decay, decoupled=True)
