"""The optimizers of gradtx say how those of other libraries differ, and which functions are exactly theirs."""

import inspect

import pytest

import gradtx
from gradtx.interop import keras, torch

LIBRARIES = {"torch": torch, "keras": keras}
OPTIMIZERS = [name for name, made in vars(gradtx).items() if getattr(made, "__module__", "").startswith("gradtx.optimizers")]
SHARED = [(name, library) for library, module in LIBRARIES.items() for name in OPTIMIZERS if hasattr(module, name)]


@pytest.mark.parametrize(("name", "library"), SHARED)
def test_an_optimizer_names_the_one_of_the_same_name_elsewhere(name, library):
    doc = inspect.getdoc(getattr(gradtx, name)) or ""
    assert "Conventions:" in doc
    assert f"`interop.{library}.{name}`" in doc.partition("Conventions:")[2]
