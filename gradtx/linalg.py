"""Matrices: orthogonalization, leading eigenvectors, inverse roots, nonnegative least squares."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax import lax

from gradtx import tree
from gradtx.numerics import abs_sq, adjoint, safe_sqrt
from gradtx.tree.dtypes import at_least_float32

Preconditioning: TypeAlias = Literal["frobenius", "spectral", "aol", "schatten"]
PRECONDITIONINGS: tuple[Preconditioning, ...] = get_args(Preconditioning)
_GRAM_STEPS = 3


def orthogonalize(
    x: jax.Array,
    coefficients: jax.Array,
    preconditioning: Preconditioning = "frobenius",
    eps: float = 1e-8,
    dtype: Any = None,
    eps_as_floor: bool = False,
) -> jax.Array:
    """Return nearly the orthogonal factor UVᵀ of x = UΣVᵀ, by Newton-Schulz iterations, which need matrix products alone.

        X₀ = x / (‖x‖ + eps)
        Xₖ₊₁ = a·Xₖ + (b·A + c·A²)·Xₖ,  A = XₖXₖᵀ

    Of matrices at least twice as long as wide, in float32 or wider on a CPU, several iterations are one product with x: the
    result is the same, and a matrix of 256 by 1024 takes a quarter less time.

    Args:
      x: matrices, of shape (..., m, n).
      coefficients: (a, b, c) of each iteration, of shape (iterations, 3).
      preconditioning: how to bring the singular values below 1: by the Frobenius norm, the spectral norm, the Schatten 4-norm
        ‖xxᵀ‖^½, or "aol", which divides each row by the root of the sum of its row in |xxᵀ|.
      eps: added to the norm of a matrix, or the least that a row is divided by: zeros stay zeros.
      dtype: of the matrices while they are iterated, and of the result; by default, and for complex x, that of x. The products
        of bfloat16 matrices are summed in float32.
      eps_as_floor: whether eps is the least that is divided by, also by a norm.

    Raises:
      ValueError: `preconditioning` is another word.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon/
      Boissin et al., Turbo-Muon: Accelerating Orthogonality-Based Optimization with Pre-Conditioning, 2025,
        https://arxiv.org/abs/2512.04632
      Grishina et al., Accelerating Newton-Schulz Iteration for Orthogonalization via Chebyshev-type Polynomials, 2025,
        https://arxiv.org/abs/2506.10935
    """
    if preconditioning not in PRECONDITIONINGS:
        raise ValueError(f"preconditioning must be one of {', '.join(PRECONDITIONINGS)}, got {preconditioning!r}.")
    if x.size == 0:
        return x
    tall = x.shape[-2] > x.shape[-1]
    x = _transposed(x) if tall else x  # so that A is the smaller of the two products

    dtype = x.dtype if dtype is None or jnp.iscomplexobj(x) else dtype
    wide = at_least_float32(dtype)
    x = _preconditioned(x.astype(dtype).astype(wide), preconditioning, eps, eps_as_floor, dtype).astype(dtype)

    if x.shape[-1] < 2 * x.shape[-2] or len(coefficients) == 1 or dtype != wide:
        x = _iterated(x, coefficients)
    else:  # in float32 other devices than CPUs multiply 16 bits by default, of which products of Grams may overflow
        x = lax.platform_dependent(x, coefficients, cpu=_iterated_by_grams, default=_iterated)
    return _transposed(x) if tall else x


def _iterated(x: jax.Array, coefficients: jax.Array) -> jax.Array:
    dtype, wide = x.dtype, at_least_float32(x.dtype)

    def product(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.matmul(x, y, preferred_element_type=wide)

    def iterate(x: jax.Array, abc: jax.Array) -> tuple[jax.Array, None]:
        a, b, c = abc.astype(jnp.finfo(wide).dtype)
        gram = product(x, adjoint(x)).astype(dtype)
        polynomial = (b * gram.astype(wide) + c * product(gram, gram)).astype(dtype)
        return (a * x.astype(wide) + product(polynomial, x)).astype(dtype), None

    return lax.scan(iterate, x, coefficients)[0]


def _iterated_by_grams(x: jax.Array, coefficients: jax.Array) -> jax.Array:
    """The same for wide X by products of the small R = XXᵀ: X itself is multiplied once for several iterations.

        Pₖ = a·I + b·Rₖ + c·Rₖ²,  Rₖ₊₁ = PₖRₖPₖ         X ← …P₁P₀X

    Rounding may give R negative eigenvalues, which iterations enlarge: after three at most, R is computed from X again.

    References:
      Dao AI Lab, Gram Newton-Schulz, 2026, https://github.com/Dao-AILab/gram-newton-schulz
    """
    first = (len(coefficients) - 1) % _GRAM_STEPS + 1  # so that the others are whole blocks
    x = _gram_steps(x, coefficients[:first])
    blocks = coefficients[first:].reshape(-1, _GRAM_STEPS, 3)
    return lax.scan(lambda x, rows: (_gram_steps(x, rows), None), x, blocks)[0] if len(blocks) else x


def _gram_steps(x: jax.Array, coefficients: jax.Array) -> jax.Array:
    gram = x @ adjoint(x)
    rows = coefficients.astype(jnp.finfo(x.dtype).dtype)
    factor = polynomial = _of_gram(gram, rows[0])
    for row in rows[1:]:
        gram = polynomial @ gram @ polynomial
        polynomial = _of_gram(gram, row)
        factor = polynomial @ factor
    return factor @ x


def _of_gram(gram: jax.Array, abc: jax.Array) -> jax.Array:
    a, b, c = abc
    identity = jnp.broadcast_to(jnp.eye(gram.shape[-1], dtype=gram.dtype), gram.shape)
    return a * identity + b * gram + c * (gram @ gram)


def _preconditioned(x: jax.Array, preconditioning: str, eps: float, eps_as_floor: bool, dtype: Any) -> jax.Array:
    # In units of the largest entry, where no square overflows or vanishes; the result does not depend on the unit.
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True))
    unit = jnp.where(largest == 0, 1, largest)  # zeros stay zeros
    x, eps_in_unit = x / unit, eps / unit
    if preconditioning in ("frobenius", "spectral"):
        norm = _frobenius(x) if preconditioning == "frobenius" else jnp.linalg.norm(x, ord=2, axis=(-2, -1), keepdims=True)
        if dtype != x.dtype:  # a norm is rounded as all that is iterated is
            norm = (norm * unit).astype(dtype).astype(x.dtype) / unit
        return x / (jnp.maximum(norm, eps_in_unit) if eps_as_floor else norm + eps_in_unit)
    gram = x @ adjoint(x)
    if preconditioning == "schatten":
        return x / jnp.maximum(safe_sqrt(_frobenius(gram)), eps_in_unit)
    sums = jnp.sum(jnp.abs(gram), axis=-1, keepdims=True)
    return x / jnp.maximum(safe_sqrt(sums), eps_in_unit)


def _frobenius(x: jax.Array) -> jax.Array:
    return safe_sqrt(jnp.sum(abs_sq(x), axis=(-2, -1), keepdims=True))


def _transposed(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, -2, -1)


def power_iteration(
    matrix: jax.Array | Callable[[Any], Any],
    *,
    v0: Any = None,
    num_iters: int = 100,
    error_tolerance: float = 1e-6,
    precision: lax.PrecisionLike = lax.Precision.HIGHEST,
    key: jax.Array | None = None,
) -> tuple[jax.Array, Any]:
    """Return the eigenvalue of largest magnitude of a symmetric matrix, and its eigenvector, of norm 1.

        v ← Mv / ‖Mv‖     until λ = vᵀMv no longer changes

    Args:
      matrix: M, of shape (n, n), or a function v ↦ Mv on trees.
      v0: the start, a vector, or a tree for a function; by default random.
      num_iters: the most iterations.
      error_tolerance: change of λ, relative to it, at which to stop.
      precision: of the products with a matrix.
      key: of the random start.

    Raises:
      ValueError: `matrix` is a function and there is no `v0`.
    """
    if callable(matrix):
        if v0 is None:
            raise ValueError("power_iteration: a function needs a v0, which has the shape of its argument.")
        product = matrix
    else:
        product = lambda v: jnp.matmul(matrix, v, precision=precision)  # noqa: E731
        if v0 is None:
            v0 = jax.random.normal(jax.random.key(0) if key is None else key, matrix.shape[-1:], matrix.dtype)

    def unit(v: Any) -> Any:
        norm = tree.norm(v)  # 0 if the matrix maps v to 0, which then stays 0 and not 0/0
        return jax.tree.map(lambda x: x / jnp.where(norm == 0, 1, norm).astype(x.dtype), v)

    def going_on(state: Any) -> jax.Array:
        _, eigenvalue, last, iteration = state
        return (iteration < num_iters) & (jnp.abs(eigenvalue - last) > error_tolerance * jnp.abs(eigenvalue))

    def step(state: Any) -> Any:
        v, eigenvalue, _, iteration = state
        image = product(v)
        return unit(image), tree.vdot(v, image).astype(eigenvalue.dtype), eigenvalue, iteration + 1

    start = unit(v0)
    image = product(start)
    first = tree.vdot(start, image)
    # An eigenvalue of inf before the first one, so that the loop begins.
    state = unit(image), first, first + jnp.inf, jnp.zeros((), jnp.int32)
    v, eigenvalue, _, _ = lax.while_loop(going_on, step, state)
    return eigenvalue, v


def matrix_inverse_pth_root(
    matrix: jax.Array,
    p: int,
    num_iters: int = 100,
    ridge_epsilon: float = 1e-6,
    error_tolerance: float = 1e-6,
    precision: lax.PrecisionLike = lax.Precision.HIGHEST,
) -> tuple[jax.Array, jax.Array]:
    """Return M^(−1/p) of a positive semidefinite matrix M, and the error of the iteration, for Shampoo.

        M ← M + ridge_epsilon·λ·I                     λ the largest eigenvalue
        Tₖ = ((p+1)·I − Mₖ)/p,  Mₖ₊₁ = Tₖᵖ·Mₖ,  Hₖ₊₁ = Hₖ·Tₖ      H → M₀^(−1/p) as Mₖ → I

    Args:
      matrix: M, of shape (n, n).
      p: a positive integer.
      num_iters: the most iterations.
      ridge_epsilon: damping, relative to the largest eigenvalue.
      error_tolerance: error max |Mₖ − I| at which to stop.
      precision: of the products.

    References:
      Higham, Functions of Matrices, section 7.3, 2008, https://doi.org/10.1137/1.9780898717778
      Anil et al., Scalable Second Order Optimization for Deep Learning, 2020, https://arxiv.org/abs/2002.09018
    """
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    largest, _ = power_iteration(matrix, precision=precision)
    damped = matrix + ridge_epsilon * largest * identity
    # The iteration converges from matrices of norm below p + 1.
    scale = (1 + p) / (2 * jnp.linalg.norm(damped))

    def error(power: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(power - identity))

    def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.matmul(a, b, precision=precision)

    def going_on(state: Any) -> jax.Array:
        power, _, last, iteration = state  # the error grows once it is nothing but rounding
        return (iteration < num_iters) & (error(power) > error_tolerance) & (error(power) < 1.2 * last)

    def step(state: Any) -> Any:
        power, root, _, iteration = state
        factor = ((p + 1) * identity - power) / p
        raised = factor
        for _ in range(p - 1):
            raised = multiply(raised, factor)
        return multiply(raised, power), multiply(root, factor), error(power), iteration + 1

    # H₀ takes the scale of M₀ out of the result again.
    start = damped * scale, identity * scale ** (1 / p), jnp.full((), jnp.inf, matrix.dtype), jnp.zeros((), jnp.int32)
    power, root, _, _ = lax.while_loop(going_on, step, start)
    return root, error(power)


def nnls(A: jax.Array, b: jax.Array, iters: int, unroll: int = 1, L: Any = None) -> jax.Array:
    """Nonnegative least squares: return x ≥ 0 that minimizes ‖Ax − b‖², by accelerated projected gradients.

    Args:
      A: matrix of shape (m, n).
      b: vector of length m.
      iters: number of iterations.
      unroll: how many to compile at once.
      L: an upper bound of the largest eigenvalue of AᵀA; by default its Frobenius norm.

    References:
      Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems, 2009,
        https://doi.org/10.1137/080716542
    """
    gram, target = A.T @ A, A.T @ b
    bound = jnp.linalg.norm(gram) if L is None else L

    def step(state: Any, _: None) -> Any:
        x, y, t = state
        new_x = jnp.maximum(y - (gram @ y - target) / bound, 0)
        new_t = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return (new_x, new_x + (t - 1) / new_t * (new_x - x), new_t), None

    zeros = jnp.zeros_like(target)
    (x, _, _), _ = lax.scan(step, (zeros, zeros, jnp.ones((), target.dtype)), None, length=iters, unroll=unroll)
    return x
