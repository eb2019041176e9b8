"""Laws of several devices. With fewer than two, there is nothing to break."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gradtx.core import Params, Transformation
from gradtx.testing.compare import assert_same_types, by_path
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like

_DEVICES = 2  # which divides the axes of more parameters than all devices there are
_SPLIT, _WHOLE = PartitionSpec("devices"), PartitionSpec()


@law
def sharding_is_kept(tx: Transformation, params: Params) -> None:
    """What is kept for a parameter lies where the parameter lies, after `init`, jitted or not, and after every update."""
    if jax.device_count() < _DEVICES:
        return

    def run(gradients: Any, params: Any) -> Any:
        state = tx.init(params)
        return state, *tx.update(gradients, state, params)

    for axis_type in (AxisType.Auto, AxisType.Explicit):
        mesh = _mesh(axis_type)
        with jax.set_mesh(mesh):
            p, g = _sharded(params, mesh), _sharded(gradients_like(params), mesh)
            _assert_follows(tx.init(p), p, f"{axis_type.name} mesh, init: state")
            state, updates, new_state = jax.jit(run)(g, p)
            _assert_follows(state, p, f"{axis_type.name} mesh, a jitted init: state")
            _assert_follows(new_state, p, f"{axis_type.name} mesh, update: state")
            _assert_follows(updates, p, f"{axis_type.name} mesh, update: updates")


@law
def shard_map_works(tx: Transformation, params: Params) -> None:
    """Inside `shard_map` a step works on averaged gradients and whole parameters, and on a model of each device's own."""
    if jax.device_count() < _DEVICES:
        return
    mesh = _mesh(AxisType.Auto)

    def data_parallel(g: Any, state: Any, p: Any) -> Any:
        return tx.update(jax.lax.pmean(jax.tree.map(lambda x: x[0], g), "devices"), state, p)

    def independent(g: Any, p: Any) -> Any:
        g, p = jax.tree.map(lambda x: x[0], (g, p))
        return jax.tree.map(lambda x: x[None], tx.update(g, tx.init(p), p))

    state = jax.eval_shape(tx.init, params)
    many = jax.tree.map(lambda x: jnp.stack([x] * _DEVICES), params)
    whole = (_SPLIT, _WHOLE, _WHOLE)
    _, new_state = jax.eval_shape(
        jax.shard_map(data_parallel, mesh=mesh, in_specs=whole, out_specs=_WHOLE), many, state, params
    )
    assert_same_types(new_state, state, "the state in shard_map")
    jax.eval_shape(jax.shard_map(independent, mesh=mesh, in_specs=_SPLIT, out_specs=_SPLIT), many, many)


def _mesh(axis_type: AxisType) -> jax.sharding.Mesh:
    return jax.make_mesh((_DEVICES,), ("devices",), axis_types=(axis_type,), devices=jax.devices()[:_DEVICES])


def _sharded(tree: Any, mesh: jax.sharding.Mesh) -> Any:
    """Split the first axis of every leaf that divides, and lay the others out whole."""

    def place(x: jax.Array) -> jax.Array:
        divides = x.ndim and x.shape[0] and x.shape[0] % mesh.size == 0
        return jax.device_put(x, NamedSharding(mesh, _SPLIT if divides else _WHOLE))

    return jax.tree.map(place, tree)


def _assert_follows(tree: Any, params: Any, what: str) -> None:
    """Raise unless each leaf that stands for a parameter (its path ends like it, its shape is the same) lies as it does."""
    for param_path, param in by_path(params).items():
        for path, leaf in by_path(tree).items():
            if path.endswith(param_path) and leaf.shape == param.shape:
                # A state may rest in another memory: what is to follow the parameter is how it is split.
                where = leaf.sharding.with_memory_kind(param.sharding.memory_kind)
                follows = where.is_equivalent_to(param.sharding, param.ndim)
                assert follows, f"{what}{path} has {leaf.sharding}, the parameter {param.sharding}"
