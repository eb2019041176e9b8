"""Programs that were written for Optax run unchanged; each in a process of its own, since `install` is for a whole process."""

import os
import pickle
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import sys
    import jax
    import jax.numpy as jnp
    import optax.contrib
    import optax
    import optax.tree_utils as otu
    from optax import losses
    from optax._src import base
    from optax._src.transform import ScaleByAdamState
    from optax.contrib import muon
    from optax.schedules import cosine_decay_schedule

    def loss(params):
        return losses.softmax_cross_entropy_with_integer_labels(jnp.eye(3) @ params["w"], jnp.arange(3)).mean()

    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(cosine_decay_schedule(0.5, 50)))
    params = {"w": jnp.zeros((3, 3))}
    state = tx.init(params)
    assert isinstance(tx, optax.GradientTransformation) and isinstance(tx, base.GradientTransformationExtraArgs)
    assert isinstance(state[0], optax.EmptyState) and isinstance(state[1][0], ScaleByAdamState)
    assert isinstance(optax.masked(tx, {"w": False}).init(params).inner_state[1][0].mu["w"], optax.MaskedNode)
    for _ in range(50):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    assert loss(params) < 0.1, loss(params)
    assert otu.tree_l2_norm(params) > 1
    print("ran on", sys.modules["optax"].__name__, "with", sys.argv[1:], "as", __name__)
"""


def run(*arguments, **options):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, **options)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def test_a_program_for_optax_runs_without_a_change(program):
    done = run("-m", "gradtx.interop.optax", str(program), "--steps", "3")
    assert done.stdout == "ran on gradtx.interop.optax with ['--steps', '3'] as __main__\n", done.stderr


def test_a_module_for_optax_runs_without_a_change(program):
    done = run("-m", "gradtx.interop.optax", "-m", "program", cwd=program.parent)
    assert done.stdout == "ran on gradtx.interop.optax with [] as __main__\n", done.stderr


def test_a_program_finds_what_lies_beside_it(tmp_path):
    (tmp_path / "neighbour.py").write_text("import optax\nname = optax.adam.__module__\n")
    (tmp_path / "program.py").write_text("import neighbour\nprint(neighbour.name)\n")
    assert run("-m", "gradtx.interop.optax", str(tmp_path / "program.py")).stdout == "gradtx.optimizers.adam\n"


def test_without_a_program_the_usage_is_shown():
    done = run("-m", "gradtx.interop.optax")
    assert done.returncode != 0
    assert "program.py" in done.stderr


def code(text):
    return run("-c", textwrap.dedent(text))


def test_install_twice_is_install_once():
    done = code("""
        import sys
        from gradtx.interop.optax import install
        before = len(sys.meta_path)
        install(), install()
        print(len(sys.meta_path) - before)
    """)
    assert done.stdout == "1\n", done.stderr


def test_install_after_optax_is_refused():
    done = code("""
        import optax
        from gradtx.interop.optax import install
        try:
            install()
        except RuntimeError as error:
            print(error)
    """)
    assert done.stdout.startswith("install() came too late: optax is loaded already."), done.stderr


def test_a_module_that_is_missing_is_named():
    done = code("""
        from gradtx.interop.optax import install
        install()
        import gradtx.interop.optax.contrib as before
        import optax.contrib
        assert optax.contrib is before and before.__spec__.name == "gradtx.interop.optax.contrib"
        try:
            import optax.no_such_module
        except ModuleNotFoundError as error:
            print(error)
        try:
            from optax import no_such_name
        except ImportError as error:
            print(str(error).split(" from ")[0])
    """)
    assert done.stdout.splitlines() == ["gradtx has no module optax.no_such_module", "cannot import name 'no_such_name'"], (
        done.stderr
    )


def test_flax_trains_on_gradtx_after_install():
    pytest.importorskip("flax")
    done = code("""
        from gradtx.interop.optax import install
        install()
        import jax.numpy as jnp
        from flax.training.train_state import TrainState
        import optax
        state = TrainState.create(apply_fn=None, params={"w": jnp.ones(3)}, tx=optax.sgd(0.5))
        print(state.apply_gradients(grads={"w": jnp.ones(3)}).params["w"].tolist(), optax.sgd.__module__)
    """)
    assert done.stdout == "[0.5, 0.5, 0.5] gradtx.optimizers.sgd\n", done.stderr


def test_a_state_that_optax_pickled_becomes_one_of_gradtx(tmp_path):
    optax, jnp = pytest.importorskip("optax"), pytest.importorskip("jax.numpy")
    (tmp_path / "state").write_bytes(pickle.dumps(optax.adamw(0.1).init(jnp.ones(3))))
    done = code(f"""
        import pickle
        from gradtx.interop.optax import install
        install()
        with open({str(tmp_path / "state")!r}, "rb") as file:
            state = pickle.load(file)
        import gradtx, jax
        assert jax.tree.structure(state) == jax.tree.structure(gradtx.adamw(0.1).init(jax.numpy.ones(3)))
        print(type(state[0]) is gradtx.ScaleByAdamState)
    """)
    assert done.stdout == "True\n", done.stderr


# --- processes that a program starts ---------------------------------------------------------------------------------

STARTS_OTHERS = """
    import multiprocessing
    import subprocess
    import sys

    def library(_):
        import optax.contrib
        return optax.__name__

    if __name__ == "__main__":
        for method in ("spawn", "forkserver"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(method, *pool.map(library, [0]))
        code = "import sys; before = 'jax' in sys.modules; import optax; print(before, optax.__name__)"
        print("subprocess", subprocess.check_output([sys.executable, "-c", code], text=True).strip())
"""


def test_processes_that_a_program_starts_get_gradtx_too(tmp_path):
    (tmp_path / "program.py").write_text(textwrap.dedent(STARTS_OTHERS))
    for arguments in ([str(tmp_path / "program.py")], ["-m", "program"]):
        done = run("-m", "gradtx.interop.optax", *arguments, cwd=tmp_path)
        assert done.stdout.splitlines() == [
            "spawn gradtx.interop.optax",
            "forkserver gradtx.interop.optax",
            "subprocess False gradtx.interop.optax",
        ], done.stderr


def test_the_sitecustomize_of_a_program_that_is_started_still_runs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.customized = True\n")
    inner = "import sys; print(customized, sys.modules['sitecustomize'].__file__, 'children' in str(sys.path))"
    done = code(f"""
        import os, subprocess, sys
        from gradtx.interop.optax import install
        os.environ["PYTHONPATH"] = os.pathsep.join([{str(tmp_path)!r}, os.environ.get("PYTHONPATH", "")])
        install()
        print(subprocess.check_output([sys.executable, "-c", {inner!r}], text=True))
    """)
    assert done.stdout.split() == ["True", str(tmp_path / "sitecustomize.py"), "False"], done.stderr


def test_without_children_only_this_process_gets_gradtx():
    done = code("""
        import os
        from gradtx.interop.optax import install
        before = os.environ.get("PYTHONPATH")
        install(children=False)
        import optax
        print(optax.__name__, os.environ.get("PYTHONPATH") == before)
    """)
    assert done.stdout == "gradtx.interop.optax True\n", done.stderr


def test_a_process_that_has_no_gradtx_fails_at_the_import_of_optax():
    done = code("""
        import subprocess, sys
        from gradtx.interop.optax import install
        install()
        hide = "import sys; sys.path.clear(); import optax"
        print(subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True).stderr.splitlines()[-1])
    """)
    assert "in which Optax is replaced by gradtx, and" in done.stdout, done.stdout + done.stderr
    assert "has no gradtx: install it there" in done.stdout


def test_where_children_cannot_be_reached_a_warning_says_so():
    done = run("-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; from gradtx.interop.optax import install; install()")
    assert "RuntimeWarning: install() cannot reach the processes that this one starts" in done.stderr, done.stderr
