"""Laws of numbers: what must stay finite, bounded, exact, and what must not be hidden."""

import functools
from collections.abc import Iterator
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import Params, Transformation, Updates
from gradtx.testing.compare import assert_finite, by_path
from gradtx.testing.dtypes import FLOATS
from gradtx.testing.laws import law
from gradtx.testing.runs import STEPS, compiled_run, exact_run, gradients_of_steps, others, sizes
from gradtx.testing.samples import around, cast, gradients_like

_STEPS = 256  # after which an average with decay 0.9 is constant to the last digit


@law
def zero_tiny_and_huge_gradients_give_finite_updates(tx: Transformation, params: Params) -> None:
    """No gradient that is itself finite makes a NaN: neither dead units, nor an underflow, nor a spike in float16.

    A gradient is constant for many steps, which is where a variance (a difference of two equal averages) turns negative.
    """
    run = _constantly(tx)
    for dtype in FLOATS:
        p = cast(params, dtype)
        for size, value in (("zero", 0.0), ("tiny", _tiny(dtype)), ("huge", _huge(dtype))):
            updates = run(around(p, value), p)
            assert_finite(updates, f"{_STEPS} {size} gradients ({value}) in {jnp.dtype(dtype)}: updates")


@law
def low_precision_computes_as_float32_does(tx: Transformation, params: Params) -> None:
    """Updates of half-precision gradients are those of float32, rounded: a square in float16 overflows beyond 256."""
    run = _constantly(tx)
    for dtype in FLOATS[1:]:
        p = cast(params, dtype)
        for value in (1.0, _huge(dtype)):
            gradients = around(p, value)
            updates = run(gradients, p)
            expected = cast(run(cast(gradients, jnp.float32), cast(p, jnp.float32)), dtype)
            try:
                chex.assert_trees_all_close(updates, expected, rtol=4 * float(jnp.finfo(dtype).eps), atol=1e-5)
            except AssertionError as error:
                raise AssertionError(f"{_STEPS} gradients around {value} in {jnp.dtype(dtype)}: {error}") from error


@law
def gradients_through_update_are_finite(tx: Transformation, params: Params) -> None:
    """Two updates can be differentiated, also at a zero gradient, where a plain root or norm gives NaN: meta-learning does."""

    def outcome(gradients: Any, params: Any) -> jax.Array:
        state = tx.init(params)
        first, state = tx.update(gradients, state, params)
        second, state = tx.update(gradients, state, params)
        return sum((jnp.sum(jnp.real(u)) for u in jax.tree.leaves((first, second))), start=jnp.zeros(()))

    through = jax.jit(jax.grad(outcome, argnums=(0, 1)))
    zeros = jax.tree.map(jnp.zeros_like, params)
    for case, gradients in (("at", gradients_like(params)), ("at zero", zeros)):
        with_gradients, with_params = through(gradients, params)
        assert_finite(with_gradients, f"the derivative with respect to the gradients, {case} gradients")
        assert_finite(with_params, f"the derivative with respect to the params, {case} gradients")


_AT = 2  # the step that is not like the others
_FACTOR = 10.0  # between steps that are alike


@law
def nan_is_never_hidden(tx: Transformation, params: Params) -> None:
    """A NaN or an infinity in one entry of a gradient shows at once, and what follows is either not finite or right.

    It shows in the updates or in the state: by numbers that are not finite, or by a flag or a count that says so. In the next
    steps, whose gradients are ordinary, no update is much longer than without it, and none stays shorter.
    """
    run = compiled_run(tx)
    gradients = gradients_of_steps(params)
    clean_updates, clean_state = jax.device_get(run(gradients, params))
    for bad in (np.nan, np.inf, -np.inf):
        for path, hit in _one_entry_replaced(gradients, bad):
            case = f"{bad} in an entry of {path}"
            updates, state = jax.device_get(run(hit, params))
            shown = _not_finite((updates, state)) - _not_finite((clean_updates, clean_state))
            assert shown or _told(state, clean_state), f"{case} shows neither in the updates of its step nor in the state"
            _assert_loud_or_right(case, sizes(updates), sizes(clean_updates))


@law
def updates_are_bounded(tx: Transformation, params: Params) -> None:
    """Steps for tiny and huge gradients, and after a spike, are between those that float64 computes and those without it.

    Sizes go from 1e-30 to 1e30, whose squares float32 does not hold. Between means up to a factor of ten. That bfloat16, whose
    range is the same, computes as float32 does is a law of its own.
    """
    run = compiled_run(tx)
    ordinary = gradients_of_steps(params)
    usual = sizes(run(ordinary, params)[0])
    rounding = _rounding(params)
    for case, factors in _magnitudes():
        scaled = jax.tree.map(lambda g, f=factors: g * f.reshape(STEPS, *[1] * (g.ndim - 1)).astype(g.dtype), ordinary)
        exact = sizes(exact_run(tx, scaled, params)[0])
        for path, got in sizes(run(scaled, params)[0]).items():
            _assert_between(f"{case}: updates{path}", got, exact[path], usual[path], rounding.get(path, 0.0))


@law
def float32_computes_as_float64_does(tx: Transformation, params: Params) -> None:
    """Updates and states in float32 are those of float64 to 1e-6 of their size, compiled or not: no difference cancels."""
    gradients = gradients_of_steps(params)
    exact_updates, exact_state = exact_run(tx, gradients, params)
    rounding = _rounding(params)

    def compare(how: str, run: Any, steps: int) -> None:
        updates, state = run(jax.tree.map(lambda g: g[:steps], gradients), params)
        _assert_close(f"{how}: updates", updates, exact_updates, rounding)
        _assert_close(f"{how}: state", state, exact_state, {})

    compare("jitted", compiled_run(tx), STEPS)
    compare("not jitted", functools.partial(_loop, tx), 2)
    with jax.disable_jit():
        compare("under disable_jit", functools.partial(_loop, tx), 2)


def _rounding(params: Params) -> dict[str, float]:
    """How far rounding may take the parameters, and updates that move them to a point, by path."""
    some_digits = 4 * float(jnp.finfo(jnp.float32).eps)
    return {path: some_digits * size.max() for path, size in sizes(jax.tree.map(lambda p: p[None], params)).items()}


def _one_entry_replaced(gradients: Updates, bad: float) -> Iterator[tuple[str, Updates]]:
    """The gradients with one entry of one leaf replaced at one step, for each leaf."""
    leaves, structure = jax.tree.flatten(gradients)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(gradients)]
    for k, leaf in enumerate(leaves):
        entries = leaf.reshape(STEPS, -1)
        if entries.shape[1]:
            hit = entries.at[_AT, entries.shape[1] // 2].set(bad).reshape(leaf.shape)
            yield paths[k], structure.unflatten([*leaves[:k], hit, *leaves[k + 1 :]])


def _not_finite(tree: Any) -> set[str]:
    """The leaves with numbers that are not finite at the step of the bad gradient."""
    return {path for path, size in sizes(tree).items() if not np.isfinite(size[_AT]).all()}


def _told(state: Any, clean: Any) -> bool:
    """Whether a flag or a count is another than without the bad gradient."""
    counts, expected = others(state), others(clean)
    return any((counts[path][_AT] != expected[path][_AT]).any() for path in counts)


def _assert_loud_or_right(case: str, updates: dict[str, np.ndarray], clean: dict[str, np.ndarray]) -> None:
    """Raise if an update of the later steps is finite and wrong."""
    for path, got in updates.items():
        got, expected = got[_AT + 1 :], clean[path]
        largest = expected.max()
        finite = np.isfinite(got)
        longest = np.where(finite, got, 0).max()
        assert longest <= _FACTOR * largest, f"{case}: later updates{path} up to {longest:.2g}, without it {largest:.2g}"
        moves = expected[_AT + 1 :].max(0) > largest / _FACTOR
        frozen = finite.all(0) & moves & (got.max(0) < largest / _FACTOR**2)
        assert not frozen.any(), f"{case}: an entry of updates{path} stays at {got.max(0)[frozen]}"


def _magnitudes() -> Iterator[tuple[str, np.ndarray]]:
    """Factors of the gradients of each step."""
    for size in (1e-30, 1e30):
        yield f"gradients around {size:g}", np.full(STEPS, size)
    for size in (1e20, 1e30):
        yield f"a spike of {size:g}", np.where(np.arange(STEPS) == _AT, size, 1.0)


def _assert_between(what: str, got: np.ndarray, exact: np.ndarray, usual: np.ndarray, rounding: float) -> None:
    """Raise unless the largest of each step, and the sum over the last steps, is between the two others up to a factor."""
    got, exact, usual = (steps.max(1) for steps in (got, exact, usual))
    high = _FACTOR * np.maximum(exact, usual.max()) + rounding + _NOTHING
    worst = int(np.argmax(got / high))
    assert np.isfinite(got).all(), f"{what} are not finite"
    assert (got <= high).all(), (
        f"{what} up to {got[worst]:.2g}, in float64 {exact[worst]:.2g}, for ordinary gradients {usual.max():.2g}"
    )
    got, exact, usual = (steps[_AT + 1 :].mean() for steps in (got, exact, usual))
    low = min(exact, usual) / _FACTOR - rounding - _NOTHING
    assert got >= low, f"{what} {got:.2g} in the mean, in float64 {exact:.2g}, for ordinary gradients {usual:.2g}"


_NOTHING = 1e-34  # below which numbers lose digits


def _loop(tx: Transformation, gradients: Updates, params: Params) -> Any:
    """What a compiled run returns, without compiling it."""
    state, seen = tx.init(params), []
    for k in range(len(jax.tree.leaves(gradients)[0])):
        updates, state = tx.update(jax.tree.map(lambda g, k=k: g[k], gradients), state, params)
        seen.append((updates, state))
    return jax.tree.map(lambda *each: np.stack([np.asarray(x) for x in each]), *seen)


def _assert_close(what: str, got: Any, exact: Any, rounding: dict[str, float]) -> None:
    """Raise unless each leaf differs by a millionth of its largest number at most, or by the rounding of what it is part of."""
    actual, expected = by_path(got), by_path(exact)
    for path in sizes(got):
        leaf, wanted = (np.asarray(each[path]) for each in (actual, expected))
        wanted = wanted[: len(leaf)]
        finite = np.isfinite(wanted)
        difference = np.abs(np.where(finite, leaf, 0).astype(complex) - np.where(finite, wanted, 0)).max()
        size = np.abs(np.where(finite, wanted, 0)).max()
        bound = 1e-6 * size + rounding.get(path, 0.0) + _NOTHING
        assert difference <= bound, f"{what}{path} differ by {difference:.2g} from float64, of {size:.2g}"


@functools.lru_cache(maxsize=1)  # two laws in a row compile the same run
def _constantly(tx: Transformation) -> Any:
    """A compiled run of many steps with one gradient, which returns all updates."""

    def run(gradients: Any, params: Any) -> Any:
        def step(state: Any, _: None) -> Any:
            updates, state = tx.update(gradients, state, params)
            return state, updates

        return jax.lax.scan(step, tx.init(params), None, length=_STEPS)[1]

    return jax.jit(run)


def _tiny(dtype: Any) -> float:
    """A number that halves without leaving the normal ones, but whose square is zero."""
    return 2 * float(jnp.finfo(dtype).smallest_normal)


def _huge(dtype: Any) -> float:
    """A large number, whose square float32 cannot hold unless the dtype is float16."""
    return min(float(jnp.finfo(dtype).max) / 64, 1e30)
