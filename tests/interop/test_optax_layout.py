"""Optax's modules have their counterparts, name by name."""

import importlib
import inspect
import operator
import types
import warnings
from pathlib import Path
from typing import Any

import optax
import pytest

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


def test_norms_have_their_older_spellings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = [float(getattr(optax.tree_utils, f"tree_{kind}_norm")([3.0, -4.0])) for kind in ("l1", "l2", "linf")]
    assert [float(getattr(layout.tree_utils, f"tree_{kind}_norm")([3.0, -4.0])) for kind in ("l1", "l2", "linf")] == expected
