"""The coefficients of Muon's Newton-Schulz iterations, by name."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from gradtx.errors import unnamed

Row: TypeAlias = tuple[float, float, float]
Preset: TypeAlias = Literal["standard", "muon", "dion", "quintic", "polar_express"]
Coefficients: TypeAlias = Preset | Row | Sequence[Row] | jax.Array

# Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
STANDARD: Row = (3.4445, -4.775, 2.0315)
# Of the code of Dion (Ahn et al. 2025, https://arxiv.org/abs/2504.05295), by You Jiacheng: one row for each iteration.
_DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
# Amsel et al., The Polar Express: Optimal Matrix Sign Methods and Their Application to the Muon Algorithm, 2025,
# https://arxiv.org/abs/2505.16932, in the digits of modded-nanogpt, nanochat and Dion; other programs have others.
_POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
# Their singular values are divided by this before the first iteration, so that rounding brings none above 1.
_POLAR_EXPRESS_MARGIN = 1.02
# What the optimal rows end in: the iteration that converges fastest near 1.
_LAST: Row = (1.875, -1.25, 0.375)


def coefficients_of(ns_coeffs: Any, ns_steps: int) -> np.ndarray:
    """Return coefficients as an array of shape (3,), the same in all iterations, or (iterations, 3).

    Raises:
      ValueError: they have another shape.
    """
    if isinstance(ns_coeffs, str):
        return _of_preset(ns_coeffs, ns_steps)
    shape = np.shape(ns_coeffs)
    if shape != (3,) and (len(shape) != 2 or shape[0] == 0 or shape[1] != 3):
        raise unnamed(ValueError, f"ns_coeffs must have the shape (3,) or (iterations, 3), got {shape}.")
    return np.asarray(ns_coeffs)  # known when it is built, as the state holds them from the start


def _of_preset(name: str, ns_steps: int) -> np.ndarray:
    if name in ("standard", "muon"):
        return np.asarray(STANDARD)
    if name == "polar_express":  # p(x/s) in powers of x
        powers = _POLAR_EXPRESS_MARGIN ** np.array([1, 3, 5])
        rows = [np.divide(_POLAR_EXPRESS[0], powers), *_POLAR_EXPRESS[1:]]
    else:
        rows = list(_DION)
    return np.asarray([*rows, *[_LAST] * (ns_steps - len(rows))][:ns_steps])
