"""Rules on quantized arrays, whole and in chunks."""

import chex
import jax
import jax.numpy as jnp
import pytest

from gradtx.tree.coded import chunks_of, on_coded_rows
from gradtx.tree.codes import DynamicCode, FloatCode
from gradtx.tree.quantized import Coded, Format

FORMATS = {
    "float": Format(FloatCode.of(8), 256),
    "4 bits": Format(FloatCode.of(4), 128),
    "dynamic": Format(DynamicCode(8), 256),
}
SHAPES = {"rows of blocks": (1024, 1024), "blocks across rows": (8192, 192), "one axis": (1_024_000,)}
every_format = pytest.mark.parametrize("its_format", FORMATS.values(), ids=FORMATS)


def momentum(g, m, *, decay):
    m = decay * m + g
    return m / (jnp.abs(m) + 0.1), m


def normalized(g, m, *, decay):
    m = decay * m + g
    return m / jnp.sqrt(jnp.sum(m**2)), m


@pytest.fixture
def one_device(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)


def row_of(its_format, shape):
    g, m = (jax.random.normal(jax.random.key(k), shape) for k in range(2))
    return [g, Coded(its_format.encode(m), its_format)]


def compiled(rule, its_format, rows):
    """A compiled step and its arguments, the momentum donated."""
    on_all = on_coded_rows(jax.jit(rule), its_format, (0, 1))

    def step(quantized, gradients):
        pairs = zip(gradients, quantized, strict=True)
        results = on_all([[g, Coded(each, its_format)] for g, each in pairs], decay=jnp.float32(0.9))
        return [coded.quantized for _, coded in results], [update for update, _ in results]

    arguments = [m.quantized for _, m in rows], [g for g, _ in rows]
    return jax.jit(step, donate_argnums=0).lower(*arguments).compile(), arguments


def has_loop(program):
    return " while(" in program.as_text()


@every_format
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_chunks_give_what_the_whole_leaf_gives(its_format, shape, monkeypatch):
    rows = [row_of(its_format, shape)]
    whole, arguments = compiled(momentum, its_format, rows)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    chunked, _ = compiled(momentum, its_format, rows)
    assert has_loop(chunked)
    assert not has_loop(whole)
    (expected_codes, expected), (codes, updates) = whole(*jax.tree.map(jnp.copy, arguments)), chunked(*arguments)
    chex.assert_trees_all_close(updates, expected, atol=4e-6)
    number, wanted = (its_format.decode(each) for each in (*codes, *expected_codes))
    assert jnp.mean(number != wanted) <= 1e-4  # a number on a border, in the last digit of which programs differ


@pytest.mark.usefixtures("one_device")
def test_a_rule_on_the_whole_leaf_sees_it_whole():
    its_format = FORMATS["float"]
    program, (quantized, gradients) = compiled(normalized, its_format, [row_of(its_format, (1024, 1024))])
    assert not has_loop(program)
    _, [update] = program(quantized, gradients)
    chex.assert_trees_all_close(jnp.sum(update**2), 1.0, rtol=1e-4)


@every_format
@pytest.mark.usefixtures("one_device")
def test_an_update_in_chunks_decodes_one_chunk_at_a_time(its_format):
    rows = [row_of(its_format, (1024, 2048)) for _ in range(3)]
    program, _ = compiled(momentum, its_format, rows)
    analysis = program.memory_analysis()
    assert analysis is not None
    # The updates of a leaf, and the momentum of a chunk, old and new.
    assert analysis.temp_size_in_bytes <= 1.2 * 4 * (1024 * 2048 + 3 * 2**19)


def test_large_leaves_go_in_whole_blocks(monkeypatch):
    its_format = FORMATS["float"]

    def chunks(*shapes):
        return chunks_of([jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes], its_format)

    assert chunks((1024, 1024)) == 0  # which of several devices it is on is not known
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert chunks((1024, 1024)) == 2
    assert chunks((50257, 768)) == 87
    assert chunks((512, 1024)) == 0  # small
    assert chunks((1025, 1023)) == 0  # the last block is not whole
    assert chunks((1024, 1024), (1024, 1)) == 0
    assert chunks((256 * 1_000_003,)) == 0  # a prime number of blocks
