"""Every public name of gradtx is on a page of the API reference, and every guide and notebook in the navigation."""

import importlib
import inspect
import re
import sys
import types

import pytest
from documents import GUIDES, ROOT

import gradtx

SITE = ROOT / "notebooks" / "site"
THEMES = [
    *(name for name in gradtx.__all__ if isinstance(getattr(gradtx, name), types.ModuleType)),
    "recipes",
    "testing",
    "interop.keras",
    "interop.torch",
    "interop.transformers",
]


@pytest.fixture(scope="module")
def reference():
    """The module that makes the pages."""
    sys.path.insert(0, str(SITE))
    try:
        return importlib.import_module("reference")
    finally:
        sys.path.remove(str(SITE))


@pytest.fixture(scope="module")
def documented(reference):
    """All objects on the pages, by the path under which they are there."""
    paths = re.findall(r"^::: (\S+)$", "\n".join(reference.pages().values()), re.MULTILINE)
    assert len(paths) == len(set(paths)), "a name is on two pages"
    return {path: found(path) for path in paths}


def found(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def is_own(value, module):
    """Whether a value in a module is something of gradtx that the module means to show."""
    if isinstance(value, types.ModuleType):
        return False
    where = getattr(value, "__module__", None) or ""
    is_package = hasattr(module, "__path__")
    return where.startswith("gradtx") if is_package else where == module.__name__


def test_each_name_at_the_top_is_on_a_page(documented):
    names = [name for name in gradtx.__all__ if not isinstance(getattr(gradtx, name), types.ModuleType)]
    assert [name for name in names if documented.keys().isdisjoint({f"gradtx.{name}", f"gradtx.{name}.{name}"})] == []


def test_no_page_takes_a_module_for_what_it_has(documented):
    assert [path for path in documented if ROOT.joinpath(*path.split(".")).with_suffix(".py").exists()] == []


@pytest.mark.parametrize("theme", THEMES)
def test_each_name_of_a_theme_is_on_a_page(theme, documented):
    module = importlib.import_module(f"gradtx.{theme}")
    shown = [value for value in documented.values() if not isinstance(value, (str, tuple))]
    names = [name for name, value in vars(module).items() if not name.startswith("_") and is_own(value, module)]
    assert names
    assert [name for name in names if not any(vars(module)[name] is value for value in shown)] == []


def test_functions_for_optax_are_on_a_page(documented):
    for name in ("convert_state", "from_optax", "install", "to_optax"):
        assert f"gradtx.interop.optax.{name}" in documented


def test_what_is_on_a_page_has_a_docstring(documented):
    kinds = {path: value for path, value in documented.items() if inspect.isfunction(value) or inspect.isclass(value)}
    assert [path for path, value in kinds.items() if not inspect.getdoc(value)] == []


def test_each_page_is_in_the_navigation(reference):
    def leaves(entry):
        if isinstance(entry, str):
            return [entry]
        return [leaf for each in (entry if isinstance(entry, list) else entry.values()) for leaf in leaves(each)]

    assert sorted(leaves(reference.navigation())) == sorted(reference.pages())


def test_each_guide_is_in_the_navigation():
    configuration = (ROOT / "notebooks" / "mkdocs.yml").read_text(encoding="utf-8")
    assert [path.name for path in GUIDES if not re.search(rf": {path.name}$", configuration, re.MULTILINE)] == []
