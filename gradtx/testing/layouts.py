"""Laws of how states lie on a mesh. Up to four devices are used; with one there is nothing to break."""

from typing import Any

import jax

from gradtx.core import Params, Transformation
from gradtx.inspection.layouts import abstract_state
from gradtx.testing.compare import by_path
from gradtx.testing.events import LOWERED, compiler_events
from gradtx.testing.laws import law
from gradtx.testing.meshes import mesh_of_two_axes, meshes_of_two_axes, on_mesh, within
from gradtx.testing.samples import gradients_like

_STEPS = 3


@law
def sharding_is_kept(tx: Transformation, params: Params) -> None:
    """Every leaf of the state lies alike after `init`, jitted or not, and after an update: of a parameter as that lies."""
    for kind, mesh in meshes_of_two_axes().items():
        with within(mesh):
            p, g = on_mesh(params, mesh), on_mesh(gradients_like(params), mesh)
            eager = tx.init(p)
            updates, updated = jax.jit(lambda g, state, p: tx.update(g, state, p))(g, eager, p)
            states = {"init: state": eager, "a jitted init: state": jax.jit(tx.init)(p), "update: state": updated}
            for how, tree in states.items():
                _assert_follows(tree, p, f"{kind} mesh, {how}")
                # Constants of a program lie anywhere.
                _assert_lies_as(eager, tree, f"{kind} mesh, {how}", anywhere=True)
            _assert_follows(updates, p, f"{kind} mesh, update: updates")


@law
def abstract_state_tells_the_truth(tx: Transformation, params: Params) -> None:
    """A state has the types, and lies on a mesh, as `abstract_state` says of the shapes of the parameters alone."""
    for kind, mesh in meshes_of_two_axes().items():
        with within(mesh):
            placed = on_mesh(params, mesh)
            planned = abstract_state(tx, placed)
            _assert_lies_as(planned, tx.init(placed), f"{kind} mesh, init: state")
            # What a jitted init does not make of the parameters lies anywhere.
            _assert_lies_as(planned, jax.jit(tx.init)(placed), f"{kind} mesh, a jitted init: state", anywhere=True)


@law
def steps_on_a_mesh_compile_once(tx: Transformation, params: Params) -> None:
    """On parameters that are split, a jitted step compiles once, whether the state comes from a jitted `init` or not."""
    mesh = mesh_of_two_axes()
    if mesh is None:
        return
    placed, gradients = on_mesh(params, mesh), on_mesh(gradients_like(params), mesh)
    step = jax.jit(lambda g, state, p: tx.update(g, state, p))
    states = {"init": tx.init(placed), "another init, jitted": jax.jit(tx.init)(placed)}
    compiled = 0
    for how, state in states.items():
        with compiler_events(LOWERED) as lowered:
            for _ in range(_STEPS):
                _, state = step(gradients, state, placed)
        compiled += len(lowered)
        assert compiled == 1, f"{compiled} compilations in {_STEPS} steps after {how}"


def _assert_follows(tree: Any, params: Any, what: str) -> None:
    """Raise unless each leaf that stands for a parameter (its path ends like it, its shape is the same) lies as it does."""
    for param_path, param in by_path(params).items():
        for path, leaf in by_path(tree).items():
            if path.endswith(param_path) and leaf.shape == param.shape:
                # A state may rest in another memory: what is to follow the parameter is how it is split.
                where = leaf.sharding.with_memory_kind(param.sharding.memory_kind)
                follows = where.is_equivalent_to(param.sharding, param.ndim)
                assert follows, f"{what}{path} has {leaf.sharding}, the parameter {param.sharding}"


def _assert_lies_as(expected: Any, tree: Any, what: str, *, anywhere: bool = False) -> None:
    """Raise unless each leaf has the type and the sharding of another tree's, or `anywhere`, if nothing says where it lies."""
    wanted = by_path(expected)
    for path, leaf in by_path(tree).items():
        model = wanted[path]
        assert (leaf.shape, leaf.dtype) == (model.shape, model.dtype), f"{what}{path} is {leaf.dtype}{leaf.shape}, not {model}"
        alike = (anywhere and not leaf.committed) or leaf.sharding.is_equivalent_to(model.sharding, leaf.ndim)
        assert alike, f"{what}{path} has {leaf.sharding}, not {model.sharding}"
