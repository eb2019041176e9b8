"""A run that one library has begun is continued by the other, with the trajectory of a single run."""

import pickle

import chex
import jax
import jax.numpy as jnp
import optax
import optax.contrib
import pytest
from small_runs import loss, start

import gradtx
from gradtx.interop.optax import convert_state

pytestmark = [pytest.mark.usefixtures("x64"), pytest.mark.filterwarnings("ignore")]
BEFORE, AFTER = 5, 10


def labels(params):
    return {name: "matrices" if p.ndim == 2 else "others" for name, p in params.items()}


def matrices(params):
    return {name: p.ndim == 2 for name, p in params.items()}


OPTIMIZERS = {
    "adam": lambda library: library.adam(0.1),
    "adamw": lambda library: library.adamw(0.1, weight_decay=0.1),
    "a chain with a clip and a schedule": lambda library: library.chain(
        library.clip_by_global_norm(1.0), library.adamw(library.warmup_cosine_decay_schedule(0.0, 0.1, 3, 20))
    ),
    "masked": lambda library: library.masked(library.adam(0.1), matrices),
    "partition": lambda library: library.partition({"matrices": library.adam(0.1), "others": library.sgd(0.1, 0.9)}, labels),
    "MultiSteps": lambda library: library.MultiSteps(library.adam(0.1), 2),
    "injected": lambda library: library.inject_hyperparams(library.adamw, hyperparam_dtype=jnp.float64)(
        library.linear_schedule(0.1, 0.0, 20)
    ),
    "muon": lambda library: of(library, "muon")(0.1),
    "schedule_free": lambda library: of(library, "schedule_free_adamw")(0.1),
    "lbfgs": lambda library: library.lbfgs(),
}


def of(library, name):
    """What Optax keeps in `contrib` and gradtx with all others."""
    return getattr(library, name, None) or getattr(library.contrib, name)


def steps(tx, params, state, count):
    """Run `count` steps; Optax is not made for strict promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):

        @jax.jit
        def step(params, state):
            value, gradients = jax.value_and_grad(loss)(params)
            extra_args = {"value": value, "grad": gradients, "value_fn": loss} if has_linesearch(state) else {}
            updates, state = tx.update(gradients, state, params, **extra_args)
            return jax.tree.map(jnp.add, params, updates), state

        for _ in range(count):
            params, state = step(params, state)
    return params, state


def has_linesearch(state):
    return any("Linesearch" in type(entry).__name__ for entry in state) if isinstance(state, tuple) else False


def initial_state(tx, params):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return tx.init(params)


def pickled(state, like, path):
    return convert_state(pickle.loads(pickle.dumps(state)), like)


def by_orbax(state, like, path):
    ocp = pytest.importorskip("orbax.checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path / "state", state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(path / "state", like)


@pytest.mark.parametrize(("first", "second"), [(optax, gradtx), (gradtx, optax)], ids=["from Optax", "to Optax"])
@pytest.mark.parametrize(("label", "carried"), [*[(label, pickled) for label in OPTIMIZERS], ("partition", by_orbax)])
def test_the_other_library_continues_a_run(label, first, second, carried, tmp_path):
    begun, continued = OPTIMIZERS[label](first), OPTIMIZERS[label](second)
    params, state = steps(begun, start(), initial_state(begun, start()), BEFORE)
    expected, _ = steps(begun, params, state, AFTER)
    state = carried(state, jax.eval_shape(lambda: initial_state(continued, start())), tmp_path)
    actual, _ = steps(continued, params, state, AFTER)
    # Optax computes schedules and sums of gradients in float32.
    chex.assert_trees_all_close(actual, expected, rtol=1e-6, atol=1e-8)
