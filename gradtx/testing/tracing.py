"""Laws of JAX's function transformations: jit, vmap, scan, shard_map."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from gradtx.core import Params, Transformation
from gradtx.testing.compare import assert_same_types, assert_same_values
from gradtx.testing.events import COMPILED, compiler_events
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like

_STEPS = 3
_DEVICES = 2
_SPLIT, _WHOLE = PartitionSpec("devices"), PartitionSpec()


@law
def update_is_pure(tx: Transformation, params: Params) -> None:
    """Equal arguments give equal results and are left as they are: no hidden state, no writing into a dict of the state."""
    state = tx.init(params)
    gradients = gradients_like(params)
    leaves, structure = jax.tree.flatten((gradients, state, params))
    first = tx.update(gradients, state, params)
    now, structure_now = jax.tree.flatten((gradients, state, params))
    unchanged = structure == structure_now and all(a is b for a, b in zip(leaves, now, strict=True))
    assert unchanged, "update wrote into its arguments"
    assert_same_values(tx.update(gradients, state, params), first, "(updates, state) of a second call")


@law
def jit_changes_nothing_and_traces_once(tx: Transformation, params: Params) -> None:
    """Compiled steps do what plain ones do, and every step runs what the first has compiled."""
    expected = tx.init(params)
    state = jax.jit(tx.init)(params)
    assert_same_values(state, expected, "the state of a jitted init")
    chex.clear_trace_counter()  # which counts by name, also what another transformation that broke this law has left
    step = jax.jit(chex.assert_max_traces(tx.update, n=1))
    for k in range(_STEPS):
        gradients = gradients_like(params, k)
        plain, expected = tx.update(gradients, expected, params)
        updates, state = step(gradients, state, params)
        assert_same_values(updates, plain, f"updates of jitted step {k}")
        assert_same_values(state, expected, f"state of jitted step {k}")


@law
def unjitted_update_compiles_once(tx: Transformation, params: Params) -> None:
    """An update outside of jit compiles at the first step only: notebooks and debuggers run it so."""
    gradients = gradients_like(params)
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(gradients, state, params)
    with compiler_events(COMPILED) as compiled:
        tx.update(gradients, state, params)
    assert not compiled, f"the third update outside of jit compiled {len(compiled)} functions again"


@law
def vmap_works(tx: Transformation, params: Params) -> None:
    """A batch of models trains like each of them alone."""
    models = [params, jax.tree.map(lambda p: p * jnp.asarray(2, p.dtype), params)]
    gradients = [gradients_like(params, k) for k in range(len(models))]

    def step(gradients: Any, params: Any) -> Any:
        return tx.update(gradients, tx.init(params), params)

    batched = jax.jit(jax.vmap(step))(_stacked(gradients), _stacked(models))
    for k in range(len(models)):
        one = jax.tree.map(lambda x, k=k: x[k], batched)
        assert_same_values(one, step(gradients[k], models[k]), f"(updates, state) of model {k} in a batch")


@law
def scan_works(tx: Transformation, params: Params) -> None:
    """Steps inside `lax.scan` do what a loop does; it needs a state that keeps its type."""
    gradients = [gradients_like(params, k) for k in range(_STEPS)]

    def step(state: Any, gradients: Any) -> Any:
        updates, state = tx.update(gradients, state, params)
        return state, updates

    state = tx.init(params)
    scanned_state, scanned = jax.lax.scan(step, state, _stacked(gradients))
    updates = []
    for g in gradients:
        state, u = step(state, g)
        updates.append(u)
    assert_same_values(scanned_state, state, "the state after a scan")
    assert_same_values(scanned, _stacked(updates), "the updates of a scan")


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@law
def shard_map_works(tx: Transformation, params: Params) -> None:
    """Inside `shard_map` a step works on averaged gradients and whole parameters, and on a model of each device's own."""
    if jax.device_count() < _DEVICES:
        return
    mesh = jax.make_mesh((_DEVICES,), ("devices",), axis_types=(AxisType.Auto,), devices=jax.devices()[:_DEVICES])

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
