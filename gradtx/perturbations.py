"""Smooth a function by random perturbations of its input, so that it can be differentiated (Berthet et al. 2020)."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from gradtx import require, tree
from gradtx.core import keeps_contract


class Noise(Protocol):
    """A distribution of single numbers."""

    def sample(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        """Draw independent numbers."""
        ...

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return the logarithm of the density at each number."""
        ...


class Normal:
    """The standard normal distribution, log μ(z) = −z²/2 − log √2π."""

    def sample(self, key: jax.Array, shape: tuple[int, ...] = (), dtype: Any = float) -> jax.Array:
        """Draw independent numbers."""
        return jax.random.normal(key, shape, dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return the logarithm of the density at each number."""
        return jax.scipy.stats.norm.logpdf(inputs)


class Gumbel:
    """The standard Gumbel distribution, log μ(z) = −z − e⁻ᶻ: the maximum of perturbed scores is a draw from their softmax."""

    def sample(self, key: jax.Array, shape: tuple[int, ...] = (), dtype: Any = float) -> jax.Array:
        """Draw independent numbers."""
        return jax.random.gumbel(key, shape, dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """Return the logarithm of the density at each number."""
        return -inputs - jnp.exp(-inputs)


@keeps_contract(num_samples=require.AT_LEAST_ONE)
def make_perturbed_fun(
    fun: Callable[[Any], Any],
    num_samples: int = 1000,
    sigma: ArrayLike = 0.1,
    noise: Noise = Gumbel(),  # noqa: B008  (it has no state)
    use_baseline: bool = True,
) -> Callable[[jax.Array, Any], Any]:
    """Return a differentiable estimate of f_σ(x) = E[f(x + σz)] for a function f that need not be differentiable.

        f_σ(x) ≈ 1/n Σᵢ f(sᵢ)                             sᵢ = x + σzᵢ
       ∇f_σ(x) ≈ 1/n Σᵢ (f(sᵢ) − b)·∇ₓ log μ((sᵢ − x)/σ)

    Derivatives of any order use values of f alone, and are unbiased.

    Args:
      fun: f, from a tree of floating-point arrays to another; it is called on all samples at once, by `jax.vmap`.
      num_samples: n.
      sigma: σ, larger for smoother functions.
      noise: the distribution μ of z, with `sample` and `log_prob`.
      use_baseline: whether b = f(x), which lowers the variance; otherwise b = 0.

    Returns:
      A function of a random key and of the input x.

    Raises:
      ValueError: `num_samples` is below 1.

    References:
      Berthet et al., Learning with Differentiable Perturbed Optimizers, 2020, https://arxiv.org/abs/2002.08676
      Foerster et al., DiCE: The Infinitely Differentiable Monte Carlo Estimator, 2018, https://arxiv.org/abs/1802.05098
    """

    def log_density(sample: Any, inputs: Any) -> jax.Array:
        """log μ of a sample, as a function of the point it was drawn around."""
        return tree.sum(jax.tree.map(lambda s, x: jnp.sum(noise.log_prob((s - x) / sigma)), sample, inputs))

    def perturbed_fun(key: jax.Array, inputs: Any) -> Any:
        here = jax.lax.stop_gradient(inputs)  # or `fun` would be asked for its derivative, and may have none
        baseline = jax.lax.stop_gradient(fun(here)) if use_baseline else tree.zeros_like(jax.eval_shape(fun, here))

        def one(key: jax.Array) -> Any:
            z = tree.random_like(key, inputs, noise.sample)
            sample = jax.lax.stop_gradient(jax.tree.map(lambda x, z: x + sigma * z, inputs, z))
            log_prob = log_density(sample, inputs)
            weight = jnp.exp(log_prob - jax.lax.stop_gradient(log_prob))  # 1, with the derivatives of the density
            return jax.tree.map(lambda f, b: weight.astype(f.dtype) * (f - b), fun(sample), baseline)

        differences = jax.vmap(one)(jax.random.split(key, num_samples))
        return jax.tree.map(lambda b, d: b + jnp.mean(d, axis=0), baseline, differences)

    return perturbed_fun


class multi_normal:  # noqa: N801  (as it is called elsewhere)
    """A normal distribution of independent coordinates, z = loc + exp(log_scale)·ε.

    Args:
      loc: the mean.
      log_scale: logarithm of the standard deviation of each coordinate; the two broadcast.

    Raises:
      ValueError: `loc` and `log_scale` do not broadcast.
    """

    def __init__(self, loc: jax.Array, log_scale: jax.Array):
        self._loc, self._log_scale = loc, log_scale
        try:
            self._param_shape = jax.lax.broadcast_shapes(jnp.shape(loc), jnp.shape(log_scale))
        except ValueError as error:
            raise ValueError(f"multi_normal: loc and log_scale do not broadcast. {error}") from error

    @property
    def params(self) -> list[jax.Array]:
        """The mean and the logarithm of the standard deviation."""
        return [self._loc, self._log_scale]

    @property
    def log_scale(self) -> jax.Array:
        """Logarithm of the standard deviation of each coordinate."""
        return self._log_scale

    def sample(self, shape: tuple[int, ...], key: jax.Array) -> jax.Array:
        """Draw points of an array of the given shape, with a random key; differentiable with respect to the parameters."""
        noise = jax.random.normal(key, (*shape, *self._param_shape), jnp.result_type(self._loc))
        loc, scale = (jnp.broadcast_to(x, noise.shape) for x in (self._loc, jnp.exp(self._log_scale)))
        return loc + scale * noise

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Return the logarithm of the density at each point; a point has all axes of the parameters."""
        loc, log_scale = (jnp.broadcast_to(each, jnp.broadcast_shapes(x.shape, self._param_shape)) for each in self.params)
        densities = jax.scipy.stats.norm.logpdf(x, loc, jnp.exp(log_scale))
        return jnp.sum(densities, axis=tuple(range(-len(self._param_shape), 0)))
