"""Matrices that are split among devices: each device works on its share of whole ones, and nothing is sent in vain."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from gradtx import tree
from gradtx.testing import collectives
from gradtx.tree.divided import as_they_lie, layouts_of, on_whole_matrices
from gradtx.tree.matrices import DimensionNumbers, as_matrices, from_matrices
from gradtx.tree.scopes import nothing_placed, placed

AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit
ROWS, COLUMNS = 16, 8
LINE = jax.make_mesh((8,), ("a",), axis_types=(AUTO,))
PLANE = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AUTO, AUTO))
CUBE = jax.make_mesh((2, 2, 2), ("a", "b", "c"), axis_types=(AUTO,) * 3)


def arrays(number, shape=(ROWS, COLUMNS)):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for _ in range(number)]


class Divided:
    """A rule on whole matrices, for arrays of a layout: compiled once, and it remembers of how many it was traced."""

    def __init__(self, xs, sharding, kind=AUTO, numbers=None, **options):
        self.traced, mesh = [], sharding.mesh
        mesh = jax.sharding.Mesh(mesh.devices, mesh.axis_names, axis_types=(kind,) * len(mesh.axis_names))
        self.sharding, self.mesh, self.kind = NamedSharding(mesh, sharding.spec), mesh, kind
        self.numbers = [numbers or DimensionNumbers()] * len(xs)
        self.rule = on_whole_matrices(tree.lift(self.plain, like="m", same_shapes=False), **options)
        placed_xs = jax.device_put(xs, self.sharding)
        self.compiled = jax.jit(self.told).lower(placed_xs).compile()
        self.seen, self.results = {*self.traced}, self.compiled(placed_xs)
        self.expected = from_matrices([self.plain(x) for x in as_matrices(xs, self.numbers)], xs, self.numbers)

    def plain(self, m):
        self.traced.append(m.shape)
        return m @ m.mT @ m + jnp.max(m, axis=(-2, -1), keepdims=True)

    def told(self, xs):
        with placed(xs, lambda place, x: place._replace(sharding=self.sharding if self.kind == AUTO else None)):
            matrices, layouts = as_matrices(xs, self.numbers), layouts_of(xs, self.numbers)
        with nothing_placed():
            return from_matrices(self.rule(matrices, layouts), xs, self.numbers)

    def check(self):
        chex.assert_trees_all_close(jax.device_get(self.results), self.expected, rtol=1e-5, atol=1e-5)
        assert all(x.sharding.is_equivalent_to(self.sharding, x.ndim) for x in jax.tree.leaves(self.results))

    @property
    def sent(self):
        """In matrices, by the kind of operation."""
        return {kind: each.bytes / (4 * ROWS * COLUMNS) for kind, each in collectives(self.compiled).items()}


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
@pytest.mark.parametrize("number", [1, 5, 19])
@pytest.mark.parametrize(
    "sharding",
    [
        NamedSharding(LINE, P("a")),
        NamedSharding(LINE, P(None, "a")),
        NamedSharding(PLANE, P("b", "a")),
        NamedSharding(PLANE, P("a")),
        NamedSharding(CUBE, P(("c", "a"), "b")),
    ],
    ids=lambda sharding: str(sharding.spec),
)
def test_each_device_works_on_its_share(sharding, number, kind):
    divided = Divided(arrays(number), sharding, kind)
    divided.check()
    assert sum(shape[0] for shape in divided.seen) == math.ceil(number / 8)
    assert not collectives(divided.compiled).keys() - {"all-to-all", "all-gather"}


@pytest.mark.parametrize(
    ("sharding", "number", "expected"),
    [
        # There and back, of so many matrices an eighth, seven eighths of that.
        (NamedSharding(LINE, P("a")), 16, {"all-to-all": 2 * 16 / 8 * 7 / 8}),
        (NamedSharding(PLANE, P("a", "b")), 16, {"all-to-all": 2 * 16 / 8 * 7 / 8}),
        # One is gathered, and three are if padding them to eight sends more; where it does not, they are padded.
        (NamedSharding(LINE, P("a")), 1, {"all-gather": 7 / 8}),
        (NamedSharding(LINE, P("a")), 3, {"all-to-all": 2 * 7 / 8}),
        (NamedSharding(PLANE, P("a", "b")), 3, {"all-to-all": 2 * 4 / 8 * 3 / 4, "all-gather": 4 / 4 / 2}),
        # Of two copies each is the source of half of the matrices.
        (NamedSharding(PLANE, P("a")), 8, {"all-to-all": 2 * 4 / 4 * 3 / 4, "all-gather": 8 / 4 / 2}),
    ],
)
def test_no_more_is_sent_than_must_be(sharding, number, expected):
    assert Divided(arrays(number), sharding).sent == pytest.approx(expected)


def test_matrices_come_in_chunks_where_there_is_little_room():
    size = 4 * ROWS * COLUMNS
    together, one_by_one = (Divided(arrays(36), NamedSharding(LINE, P("a")), cap_bytes=cap) for cap in (3 * size, size))
    together.check()
    one_by_one.check()
    assert together.seen == {(2, ROWS, COLUMNS), (1, ROWS, COLUMNS)}  # twice two for each device, and one at last
    assert one_by_one.seen == {(1, ROWS, COLUMNS)}
    assert one_by_one.sent == pytest.approx(together.sent)
    assert " while(" in (one_by_one.compiled.as_text() or "")


def test_a_matrix_larger_than_the_room_is_worked_on_alone():
    Divided(arrays(9), NamedSharding(LINE, P("a")), cap_bytes=1).check()


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
def test_matrices_that_are_whole_on_a_device_stay_there(kind):
    divided = Divided(arrays(2, (8, ROWS, COLUMNS)), NamedSharding(LINE, P("a")), kind, DimensionNumbers(1, 2))
    divided.check()
    assert divided.sent == {}
    assert divided.seen == {(2, ROWS, COLUMNS)}


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
@pytest.mark.parametrize(
    ("shape", "spec", "numbers"),
    [
        ((6, ROWS, COLUMNS), P(None, "a", "b"), DimensionNumbers(1, 2)),  # counted by the first axis
        ((ROWS, 4, COLUMNS), P("b", "a"), DimensionNumbers(0, 2)),  # by the one between, which is split
        ((ROWS, 4, 2), P("b", "a"), DimensionNumbers(0, (1, 2))),  # heads of attention
        ((4, 2, ROWS), P("a", None, "b"), DimensionNumbers((0, 1), 2)),
        ((COLUMNS, ROWS), P("a", "b"), DimensionNumbers(1, 0)),
    ],
)
def test_arrays_of_other_axes_are_divided_too(shape, spec, numbers, kind):
    divided = Divided(arrays(4, shape), NamedSharding(PLANE, spec), kind, numbers)
    divided.check()
    counted = 4 * math.prod(shape) // math.prod(shape[axis] for axis in np.hstack([*numbers]))
    assert sum(shape[0] for shape in divided.seen) == math.ceil(counted / 8)


def test_arrays_that_no_layout_fits_are_left_to_the_compiler():
    for shape, spec, numbers in [
        ((ROWS, COLUMNS), P(), DimensionNumbers()),  # whole
        ((6, COLUMNS), P("a"), DimensionNumbers()),  # not in equal parts
        ((2, 8, COLUMNS), P(None, "a"), DimensionNumbers((0, 1), 2)),  # rows that are not one after another
        ((COLUMNS,), P(None, "a"), DimensionNumbers()),  # of another array
    ]:
        x = jnp.ones(shape)
        with placed(x, lambda place, _: place._replace(sharding=NamedSharding(LINE, spec))):  # noqa: B023
            assert layouts_of(x, [numbers]) == [None]


def test_where_nothing_is_known_there_is_nothing_but_the_rule():
    rule = tree.lift(lambda m: m @ m.mT @ m, like="m", same_shapes=False)
    xs = arrays(3)
    layouts = layouts_of(xs, [DimensionNumbers()] * 3)
    assert str(jax.make_jaxpr(lambda xs: on_whole_matrices(rule)(xs, layouts))(xs)) == str(jax.make_jaxpr(rule)(xs))


def test_within_shard_map_a_device_has_nobody_to_ask():
    def seen(x):
        with placed(x, lambda place, _: place._replace(sharding=NamedSharding(LINE, P("a")))):
            assert layouts_of(x, [DimensionNumbers()]) == [None]
        return x

    jax.eval_shape(jax.shard_map(seen, mesh=LINE, in_specs=P("a"), out_specs=P("a")), jnp.ones((64, 8)))


def test_arrays_that_are_there_say_how_they_lie():
    x, y = jax.device_put(arrays(2), [NamedSharding(LINE, P("a")), NamedSharding(LINE, P())])
    numbers = [DimensionNumbers()] * 2
    with as_they_lie([x, y]):
        assert layouts_of([x, y], numbers)[1] is None
        traced = []
        jax.eval_shape(lambda xs: traced.extend(layouts_of(xs, numbers)), [x, y])
        assert traced == [(LINE, (("a",), ())), None]
    with as_they_lie([y]):
        assert layouts_of([x, y], numbers) == [None, None]


@pytest.mark.parametrize("kind", [AUTO, EXPLICIT])
def test_what_all_devices_have_goes_with_the_matrices_and_results_may_stay_whole(kind):
    mesh = jax.sharding.Mesh(PLANE.devices, PLANE.axis_names, axis_types=(kind,) * 2)
    xs = {"one": arrays(1)[0], "many": arrays(1, (4, 3, ROWS, COLUMNS))[0], "no matrix": None, "unknown": arrays(1)[0]}
    specs = {"one": P("a", "b"), "many": P("a", None, None, "b"), "no matrix": None, "unknown": P()}
    others = jax.tree.map(lambda x: jnp.asarray(np.random.default_rng(1).normal(size=(*x.shape[:-2], ROWS, 2)), x.dtype), xs)

    def solve(m, other):
        return m @ (m.mT @ other)

    numbers = [DimensionNumbers(-2, -1)] * 3
    rule = on_whole_matrices(tree.lift(solve, like="other", same_shapes=False), keep_whole=True)
    shardings = jax.tree.map(lambda x, spec: NamedSharding(mesh, spec), xs, specs)

    @jax.jit
    def run(xs, others):
        with placed(shardings, lambda place, sharding: place._replace(sharding=sharding)):
            layouts = layouts_of(xs, numbers)
        assert [layout is None for layout in layouts] == [False, False, True]
        return rule(xs, layouts, others)

    results = run(jax.device_put(xs, shardings), jax.device_put(others, NamedSharding(mesh, P())))
    assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(results))
    chex.assert_trees_all_close(jax.device_get(results), jax.tree.map(solve, xs, others), rtol=1e-5, atol=1e-5)


def test_derivatives_and_batches_pass_through():
    sharding = NamedSharding(LINE, P("a"))
    divided = Divided(xs := arrays(3), sharding)

    def loss(f, xs):
        return sum(jnp.sum(jnp.sin(x)) for x in f(xs))

    def plain(xs):
        return [divided.plain(x) for x in xs]

    found = jax.jit(jax.grad(lambda xs: loss(divided.told, xs)))(jax.device_put(xs, sharding))
    chex.assert_trees_all_close(jax.device_get(found), jax.grad(lambda xs: loss(plain, xs))(xs), rtol=1e-3, atol=1e-3)
    twice = [jnp.stack([x, 2 * x]) for x in xs]
    chex.assert_trees_all_close(
        jax.device_get(jax.jit(jax.vmap(divided.told))(twice)), [divided.plain(x) for x in twice], rtol=1e-5, atol=1e-5
    )
