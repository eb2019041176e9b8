"""One of several processes that train together: `python process.py RANK NUMBER PORT FOLDER before|after`.

All devices of all processes are four, so that their number changes nothing. *before*: three steps, one with a NaN in the
part of the gradient that the last device has, and a checkpoint; *after*: two steps from that. The first process writes what has
come of it to `FOLDER/NUMBER-before.json`, or after.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx
from gradtx import tree

DEVICES = 4


def main(rank, number, port, folder, part):
    jax.config.update("jax_num_cpu_devices", DEVICES // number)
    if number > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", number, rank)
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))
    tx = gradtx.apply_if_finite(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)), 5)
    shardings = {"w": NamedSharding(mesh, PartitionSpec("data")), "b": NamedSharding(mesh, PartitionSpec())}
    params = {"w": np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4), "b": np.ones(4, np.float32)}
    params = jax.tree.map(placed, params, shardings)
    state = jax.jit(tx.init)(params)

    @jax.jit
    def step(params, state, size):
        gradients = jax.tree.map(lambda p: jnp.sin(3 * p), params)
        gradients["w"] = gradients["w"].at[-1, 0].multiply(size)
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    checkpoint = Path(folder, "checkpoint")
    with ocp.StandardCheckpointer() as checkpointer:
        if part == "after":
            like = jax.tree.map(lambda p, s: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=s), params, shardings)
            params, state = checkpointer.restore(checkpoint, (like, gradtx.abstract_state(tx, like)))
        for size in [1.0, np.nan, 1.0] if part == "before" else [1.0, 1.0]:
            params, state = step(params, state, jnp.float32(size))
        if part == "before" and number > 1:
            checkpointer.save(checkpoint, (params, state))
    result = {
        "params": float(tree.norm(params)),
        "mu": float(tree.norm(tree.get(state, "mu"))),
        "left out": int(state.total_notfinite),
        "taken": int(tree.get(state, "count")),
        "compiled": step._cache_size(),  # pyright: ignore[reportAttributeAccessIssue]
        "rates": gradtx.hyperparams(tx, state)["adamw.learning_rate"],
    }
    if rank == 0:
        Path(folder, f"{number}-{part}.json").write_text(json.dumps(result, default=float))


def placed(x, sharding):
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


if __name__ == "__main__":
    rank, number, port = map(int, sys.argv[1:4])
    main(rank, number, port, *sys.argv[4:])
