"""What was meant by a word that gradtx does not know: by meaning first, then by letters; in Python and on the command line."""

# Types are wrong here on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

import importlib
import inspect
import pickle
import subprocess
import sys
import traceback

import pytest

import gradtx
from gradtx import cli, hints

ADAMW = ("learning_rate", "b1", "b2", "eps", "eps_root", "mu_dtype", "weight_decay", "mask", "nesterov")
PATHS = ("clip_by_global_norm.max_norm", "adam.learning_rate", "adam.b1", "adam.b2", "sgd.learning_rate", "prodigy.betas[0]")

MEANT = [
    ("lr", ADAMW, ["learning_rate"]),
    ("learningRate", ADAMW, ["learning_rate"]),
    ("betas", ADAMW, ["b1", "b2"]),
    ("beta1", ADAMW, ["b1"]),
    ("beta_2", ADAMW, ["b2"]),
    ("momentum", ADAMW, ["b1"]),
    ("epsilon", ADAMW, ["eps"]),
    ("wd", ADAMW, ["weight_decay"]),
    ("wieght_decay", ADAMW, ["weight_decay"]),
    ("qqqq", ADAMW, []),
    ("learning_rate", ("params", "lr", "betas"), ["lr"]),
    ("b1", ("params", "lr", "betas"), ["betas"]),
    ("adam.lr", PATHS, ["adam.learning_rate"]),
    ("adam.betas", PATHS, ["adam.b1", "adam.b2"]),
    ("adam.b11", PATHS, ["adam.b1"]),
    ("sgd.lr", PATHS, ["sgd.learning_rate"]),
    ("adamw.lr", PATHS, ["adam.learning_rate"]),
    ("max_norm", PATHS, ["clip_by_global_norm.max_norm"]),
    ("prodigy.b1", PATHS, ["prodigy.betas[0]"]),
    ("anything", (), []),
]


def test_the_meaning_of_a_word_comes_before_its_letters():
    for word, known, expected in MEANT:
        assert hints.meant(word, known) == expected, word


def test_every_meaning_is_a_word_of_some_signature():
    """Or the table speaks of what nobody has."""
    doors = (gradtx, gradtx.interop.torch, gradtx.interop.keras, gradtx.interop.transformers)
    things = [*(thing for door in doors for thing in vars(door).values()), gradtx.MultiSteps.__new__]
    functions = [*filter(inspect.isfunction, things), gradtx.Group]
    words = {"betas[0]", "betas[1]", *vars(gradtx)}.union(*(inspect.signature(function).parameters for function in functions))
    assert {word for meanings in hints.MEANINGS.values() for each in meanings for word in each.split()} - words == set()


KEYWORDS = [
    (lambda: gradtx.adamw(lr=1e-3), "adamw", "lr", "did you mean 'learning_rate'?"),
    (lambda: gradtx.adamw(1e-3, betas=(0.9, 0.99)), "adamw", "betas", "did you mean 'b1' and 'b2'?"),
    (lambda: gradtx.adamw(1e-3, qqqq=1), "adamw", "qqqq", "it takes learning_rate, b1, b2, eps, eps_root, mu_dtype, "),
    (lambda: gradtx.cosine_decay_schedule(lr=0.1), "cosine_decay_schedule", "lr", "did you mean 'init_value'?"),
    (lambda: gradtx.inject_hyperparams(gradtx.adam)(lr=0.1), "inject_hyperparams(adam)", "lr", "did you mean 'learning_rate'?"),
    (lambda: gradtx.MultiSteps(gradtx.adam(0.1), k=2), "MultiSteps", "k", "did you mean 'every_k_schedule'?"),
    (lambda: gradtx.Group("**", lr_factor=0.1), "Group", "lr_factor", "did you mean 'learning_rate_factor'?"),
    (lambda: gradtx.Group("**", lr=0.1), "Group", "lr", "did you mean 'learning_rate_factor'?"),
    (lambda: gradtx.Group("**", qqqq=1), "Group", "qqqq", "it takes pattern, optimizer, name, "),
    (lambda: gradtx.huber_loss(1.0, 0.0, beta=1.0), "huber_loss", "beta", "did you mean 'delta'?"),
    (lambda: gradtx.minimize(sum, 1.0, steps=3), "minimize", "steps", "did you mean 'max_steps'?"),
    (lambda: gradtx.interop.torch.adamw(learning_rate=0.1), "adamw", "learning_rate", "did you mean 'lr'?"),
]


def test_a_keyword_that_a_factory_does_not_take_is_explained():
    for build, owner, keyword, hint in KEYWORDS:
        with pytest.raises(TypeError) as caught:
            build()
        assert str(caught.value).startswith(f"{owner}() got an unexpected keyword argument {keyword!r}; {hint}")


def test_a_path_of_a_hyperparameter_is_explained_by_its_meaning():
    tx = gradtx.adjustable(gradtx.adam(0.1))
    for path, hint in (("adam.lr", "adam.learning_rate"), ("lr", "adam.learning_rate"), ("adam.epsilon", "adam.eps")):
        with pytest.raises(KeyError, match=rf"adjustable: there is no hyperparameter '{path}'; did you mean '{hint}'\?"):
            gradtx.adjustable(gradtx.adam(0.1), {path: gradtx.constant_schedule(0.1)})
        with pytest.raises(KeyError, match=rf"set_hyperparams: there is no hyperparameter '{path}'; did you mean '{hint}'\?"):
            gradtx.set_hyperparams(tx, tx.init({}), {path: 0.1})


def test_the_command_line_gives_the_same_hints(capsys):
    for arguments, hint in (
        (["cosine_decay_schedule", "lr=0.1"], "has no argument 'lr'; did you mean init_value?"),
        (["cosine_decay_schedule", "total_steps=10"], "has no argument 'total_steps'; did you mean decay_steps?"),
        (["CosineAnnealingLR"], "unknown schedule 'CosineAnnealingLR'; did you mean cosine_decay_schedule?"),
    ):
        assert cli.main(["schedule", *arguments]) == 2
        assert hint in capsys.readouterr().err


# --- names of the package ---------------------------------------------------------------------------------------------


def test_a_name_that_gradtx_does_not_have_is_explained():
    for name, hint in (
        ("AdamW", "adamw"),
        ("admw", "adamw"),
        ("SGD", "sgd"),
        ("multi_steps", "MultiSteps"),
        ("clip_grad_norm_", "clip_by_global_norm"),
        ("CosineAnnealingLR", "cosine_decay_schedule"),
    ):
        assert not hasattr(gradtx, name)
        with pytest.raises(AttributeError) as caught:
            getattr(gradtx, name)
        last = traceback.format_exception(caught.value)[-1]
        assert last == f"AttributeError: module 'gradtx' has no attribute {name!r}; did you mean {hint!r}?\n"
    for name in ("__path_of_nothing__", "_private", "qqqqqq"):
        with pytest.raises(AttributeError, match=rf"^module 'gradtx' has no attribute '{name}'$"):
            getattr(gradtx, name)
    with pytest.raises(ImportError, match="cannot import name 'admw'"):
        exec("from gradtx import admw")


def test_doors_are_loaded_when_they_are_touched():
    program = """
import sys, gradtx
assert not {"gradtx.interop", "gradtx.testing", "chex", "torch", "optax"} & sys.modules.keys()
assert {"interop", "testing"} <= set(dir(gradtx)) and {"torch", "keras"} <= set(dir(gradtx.interop))
assert gradtx.interop.torch.adamw and gradtx.testing.LAWS
assert not {"torch", "optax"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_door_whose_library_is_missing_says_so(monkeypatch):
    importlib.import_module("gradtx.testing")
    monkeypatch.delattr(gradtx, "testing")
    for name in [name for name in sys.modules if name.startswith("gradtx.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "chex", None)
    with pytest.raises(AttributeError, match=r"gradtx.testing needs chex: pip install 'gradtx\[testing\]'"):
        gradtx.testing  # noqa: B018
    assert not hasattr(gradtx, "testing")
    with pytest.raises(ImportError, match=r"gradtx\.testing needs chex"):
        importlib.import_module("gradtx.testing")


def test_the_package_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(gradtx.adamw(1e-3))) == gradtx.adamw(1e-3)
    assert pickle.loads(pickle.dumps(gradtx.Group("**"))) == gradtx.Group("**")
