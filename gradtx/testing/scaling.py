"""Laws of scale: on parts of parameters, on stacks of layers and with a divided state, a step is what it is on the whole.

Up to four devices are used, as a mesh of two axes. With one there is nothing to break.
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from gradtx.core import Params, Transformation, Updates
from gradtx.testing.compare import by_path
from gradtx.testing.laws import law
from gradtx.testing.meshes import mesh_of_two_axes, specs_of
from gradtx.testing.samples import gradients_like
from gradtx.wrappers.per_shard import per_shard
from gradtx.wrappers.sharded import sharded
from gradtx.wrappers.stacked import stacked

_STEPS = 3
_LAYERS = 3
_ROUNDING = 1e-5  # of the largest entry of a leaf: sums of parts are taken in another order


@law
def parts_are_updated_as_the_whole_is(tx: Transformation, params: Params) -> None:
    """Inside of `shard_map`, what `per_shard` wraps computes of the parts of parameters what it does of whole ones."""
    mesh = mesh_of_two_axes()
    if mesh is None:
        return
    gradients, specs = _gradients_of_steps(params), specs_of(params)
    of_steps = jax.tree.map(lambda spec: PartitionSpec(None, *spec), specs)
    inside = jax.shard_map(_updates_of_steps(per_shard(tx, specs)), mesh=mesh, in_specs=(of_steps, specs), out_specs=of_steps)
    _assert_close(jax.jit(inside)(gradients, params), jax.jit(_updates_of_steps(tx))(gradients, params), "per_shard")


@law
def stacked_layers_are_updated_as_separate_ones_are(tx: Transformation, params: Params) -> None:
    """What `stacked` wraps computes of layers in one array what it does of a parameter for each layer."""
    layers = [jax.tree.map(lambda p, k=k: p * jnp.asarray(10.0**-k, p.dtype), params) for k in range(_LAYERS)]
    gradients = [_gradients_of_steps(layer, k) for k, layer in enumerate(layers)]

    def stack(trees: list[Any], axis: int) -> Any:
        return jax.tree.map(lambda *each: jnp.stack(each, axis), *trees)

    separate = jax.jit(_updates_of_steps(tx))(gradients, layers)
    together = jax.jit(_updates_of_steps(stacked(tx)))(stack(gradients, 1), stack(layers, 0))
    _assert_close(together, stack(separate, 1), "stacked")


@law
def a_divided_state_gives_the_same_updates(tx: Transformation, params: Params) -> None:
    """What `sharded` wraps computes what it does where every device has the whole state."""
    mesh = mesh_of_two_axes()
    if mesh is None:
        return
    copied = NamedSharding(mesh, PartitionSpec())
    gradients = _gradients_of_steps(params)
    divided = _updates_of_steps(sharded(tx, ("x", "y"), layout=copied))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sharded: of ", UserWarning)  # small leaves that cannot be divided
        updates = jax.jit(divided)(*jax.device_put((gradients, params), copied))
    _assert_close(updates, jax.jit(_updates_of_steps(tx))(gradients, params), "sharded")


def _gradients_of_steps(params: Params, seed: int = 0) -> Updates:
    """Gradients of one step a hundred times those of the first, and ever larger, along a first axis."""
    steps = [gradients_like(params, seed * _STEPS + k) for k in range(_STEPS)]
    sizes = [10.0 ** (k - 1 - seed) for k in range(_STEPS)]
    return jax.tree.map(
        lambda *each: jnp.stack([g * jnp.asarray(size, g.dtype) for g, size in zip(each, sizes, strict=True)]), *steps
    )


def _updates_of_steps(tx: Transformation) -> Callable[[Updates, Params], Updates]:
    """A function of the gradients of steps and the parameters, which stay, that returns all updates."""

    def run(gradients: Updates, params: Params) -> Updates:
        def step(state: Any, g: Updates) -> Any:
            updates, state = tx.update(g, state, params)
            return state, updates

        return jax.lax.scan(step, tx.init(params), gradients)[1]

    return run


def _assert_close(updates: Updates, expected: Updates, what: str) -> None:
    wanted = by_path(expected)
    for path, leaf in by_path(updates).items():
        one, other = np.asarray(leaf, float), np.asarray(wanted[path], float)
        size, difference = (np.max(np.abs(x), initial=0) for x in (other, one - other))
        assert difference <= _ROUNDING * size, f"{what}: updates{path} differ by {difference:.2g}, of {size:.2g}"
