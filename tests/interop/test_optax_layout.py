"""Optax's modules have their counterparts, name by name."""

import importlib
import inspect
import operator
import types
import warnings
from operator import attrgetter
from pathlib import Path
from typing import Any

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.interop import optax as layout

MODULES = [
    "",
    ".assignment",
    ".contrib",
    ".experimental",
    ".experimental.aggregating",
    ".losses",
    ".microbatching",
    ".perturbations",
    ".projections",
    ".schedules",
    ".second_order",
    ".transforms",
    ".tree",
    ".tree_utils",
]
SPELLINGS_OUT_OF_USE = {
    "": ["DifferentiallyPrivateAggregateState", "differentially_private_aggregate", "dpsgd"],
    ".tree_utils": ["tree_scalar_mul", "tree_add_scalar_mul", "tree_l1_norm", "tree_l2_norm", "tree_linf_norm"],
}


def public_names(module):
    """What a module of Optax defines; names that it has from elsewhere are none of ours."""
    names = {name for name in dir(module) if not name.startswith("_")}
    return {name for name in names if is_of_optax(getattr(module, name))}


def is_of_optax(thing):
    if isinstance(thing, types.ModuleType):
        return thing.__name__.startswith("optax.") and "_src" not in thing.__name__ and thing is not optax.tree
    home = getattr(thing, "__module__", "optax")
    return not (home or "").startswith(("typing", "jax", "collections"))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_every_name_that_it_has_in_optax(module):
    theirs = operator.attrgetter(module[1:])(optax) if module else optax
    ours = importlib.import_module(f"gradtx.interop.optax{module}")
    wanted = public_names(theirs) | set(SPELLINGS_OUT_OF_USE.get(module, []))
    assert sorted(wanted - set(dir(ours))) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_function_takes_the_arguments_that_it_takes_in_optax(module):
    theirs = operator.attrgetter(module[1:])(optax) if module else optax
    ours = importlib.import_module(f"gradtx.interop.optax{module}")
    differing = [
        name
        for name in sorted(public_names(theirs) & set(dir(ours)))
        if inspect.isfunction(getattr(theirs, name)) and not takes_the_same(getattr(ours, name), getattr(theirs, name))
    ]
    # The seed of dpsgd is a key in its newer signature, as it is everywhere else.
    assert differing in ([], ["dpsgd"])


def takes_the_same(ours, theirs):
    """Whether every call of `theirs` is one of `ours`."""
    mine = inspect.signature(ours).parameters
    for position, (name, parameter) in enumerate(inspect.signature(theirs).parameters.items()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY and list(mine)[position : position + 1] != [name]:
            return False
        if name not in mine or (mine[name].default is inspect.Parameter.empty) > (parameter.default is parameter.empty):
            return False
    return True


def layout_of(state_type: Any) -> Any:
    """The names of the fields of a state, and their defaults."""
    return state_type._fields, state_type._field_defaults


def test_every_state_class_has_the_fields_and_the_defaults_of_optax():
    differing, seen = {}, set()
    for module in MODULES:
        theirs = operator.attrgetter(module[1:])(optax) if module else optax
        ours = importlib.import_module(f"gradtx.interop.optax{module}")
        for name in public_names(theirs):
            mine: Any = getattr(ours, name)
            their: Any = getattr(theirs, name)
            if isinstance(their, type) and issubclass(their, tuple) and hasattr(their, "_fields"):
                seen.add(name)
                if layout_of(mine) != layout_of(their):
                    differing[name] = (layout_of(mine), layout_of(their))
    assert differing == {}
    assert len(seen) > 50


def test_a_name_that_is_missing_is_named():
    for module, name in ((layout, "optax"), (layout.contrib, "optax.contrib"), (layout.tree_utils, "optax.tree_utils")):
        with pytest.raises(AttributeError, match=f"gradtx has no {name}.no_such_name"):
            module.no_such_name  # noqa: B018


def test_classes_are_those_of_gradtx_in_every_module():
    assert layout.MaskedNode is layout.transforms.MaskedNode
    assert layout.InjectHyperparamsState is layout.schedules.InjectHyperparamsState
    assert layout._src.base.EmptyState is layout.EmptyState
    assert layout._src.transform.ScaleByAdamState is layout.ScaleByAdamState


def test_every_private_module_of_optax_has_an_answer():
    files = Path(optax.__file__).parent.rglob("*.py")
    private = {file.stem for file in files if file.parent.name == "_src" or file.stem[0] == "_" != file.stem[1]}
    missing = {name for name in private if not name.endswith("_test") and not layout.private.is_module(name)}
    assert missing == {"test_utils"}
    assert layout.transforms._masking.MaskedState is layout.MaskedState
    assert layout.contrib._muon.MuonState is layout.contrib.MuonState


def test_lookahead_is_a_module_with_a_function_of_that_name():
    assert layout._src.lookahead.lookahead is layout.lookahead is gradtx.lookahead
    assert layout._src.lookahead.LookaheadState is gradtx.LookaheadState


X = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("_src.numerics", "abs_sq", (jnp.asarray([1 + 2j, -3]),)),
        ("_src.numerics", "abs_sq", (jnp.asarray([2, -3]),)),
        ("_src.numerics", "abs_sq", (jnp.asarray([1e30, jnp.nan]),)),
        ("_src.utils", "tile_second_to_last_dim", (X,)),
        ("_src.utils", "set_diags", (jnp.asarray(X), jnp.arange(12.0).reshape(3, 4))),
        ("contrib._muon", "orthogonalize_via_newton_schulz", (X[0], jnp.asarray([2.0, -1.5, 0.5]), 7)),
        ("contrib._muon", "orthogonalize_via_newton_schulz", (X[0], jnp.asarray([[2.0, -1.5, 0.5]] * 3))),
    ],
)
def test_private_functions_that_programs_take_do_what_optaxs_do(module, name, arguments):
    mine, their = (getattr(attrgetter(module)(library), name) for library in (layout, optax))
    chex.assert_trees_all_close(mine(*arguments), their(*arguments), rtol=1e-5, atol=1e-5)


def test_batches_of_matrices_are_orthogonalized_by_their_dimension_numbers():
    orthogonalize, their = (library.contrib._muon.orthogonalize_via_newton_schulz for library in (layout, optax))
    options = {"ns_coeffs": jnp.asarray([2.0, -1.5, 0.5]), "ns_steps": 4}
    numbers = {"reduction_axis": 2, "output_axis": (0,)}
    expected = their(jnp.asarray(X), dimension_numbers=optax.contrib.MuonDimensionNumbers(**numbers), **options)
    got = orthogonalize(jnp.asarray(X), dimension_numbers=layout.contrib.MuonDimensionNumbers(**numbers), **options)
    chex.assert_trees_all_close(got, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="needs dimension_numbers"):
        orthogonalize(jnp.asarray(X), **options)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3, 3), (2,)), ((2, 3, 4), (2, 3)), ((2, 3, 3), (3, 2))])
def test_diagonals_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match=r"Expected `|Shape mismatch: expected `"):
        layout._src.utils.set_diags(*map(jnp.ones, shapes))


def test_norms_have_their_older_spellings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = [float(getattr(optax.tree_utils, f"tree_{kind}_norm")([3.0, -4.0])) for kind in ("l1", "l2", "linf")]
    assert [float(getattr(layout.tree_utils, f"tree_{kind}_norm")([3.0, -4.0])) for kind in ("l1", "l2", "linf")] == expected
