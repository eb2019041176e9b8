"""Laws of JAX's function transformations: jit, vmap, scan."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from gradtx.core import Params, Transformation
from gradtx.testing.compare import assert_same_values
from gradtx.testing.events import COMPILED, compiler_events
from gradtx.testing.laws import law
from gradtx.testing.samples import gradients_like

_STEPS = 3


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
