"""`testing.collectives` counts what a compiled program sends."""

import functools

import jax
import jax.numpy as jnp
import pytest

from gradtx.testing import Collective, collectives

SIZE = 32 * 16 * 4  # bytes of the whole array
PART = SIZE // 8  # of that of one device


def compiled(f, out_spec=None):
    """A function of the part of each device, on a mesh of 4 by 2."""
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    spec = jax.P("a", "b")
    mapped = jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec if out_spec is None else out_spec, check_vma=False)
    x = jax.ShapeDtypeStruct((32, 16), jnp.float32, sharding=jax.NamedSharding(mesh, spec))
    return jax.jit(mapped).lower(x).compile()


def exchanged(x):
    return jax.lax.all_to_all(x, "a", split_axis=1, concat_axis=0, tiled=True)


def looped(x):
    return jax.lax.fori_loop(0, 5, lambda k, x: jax.lax.psum(x, "a") * 0.1, x)


def chosen(x):
    return jax.lax.cond(x[0, 0] > 0, lambda: jax.lax.psum(x, "b"), lambda: 2 * x)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: 2 * x, {}),
        (lambda x: jax.lax.psum(x, "a"), {"all-reduce": Collective(1, 2 * PART * 3 / 4)}),
        (lambda x: jax.lax.all_gather(x, "b", tiled=True), {"all-gather": Collective(1, 2 * PART / 2)}),
        (lambda x: jax.lax.psum_scatter(x, "a", tiled=True), {"reduce-scatter": Collective(1, PART / 4 * 3)}),
        (exchanged, {"all-to-all": Collective(1, PART * 3 / 4)}),
        (lambda x: jax.lax.ppermute(x, "b", [(0, 1), (1, 0)]), {"collective-permute": Collective(1, PART)}),
        (looped, {"all-reduce": Collective(5, 5 * 2 * PART * 3 / 4)}),
        (chosen, {"all-reduce": Collective(1, 2 * PART / 2)}),
        (
            lambda x: exchanged(jax.lax.psum(x, ("a", "b"))),
            {"all-reduce": Collective(1, 2 * PART * 7 / 8), "all-to-all": Collective(1, PART * 3 / 4)},
        ),
    ],
)
def test_what_is_sent_is_counted(f, expected):
    assert collectives(compiled(f)) == expected


def test_the_compiler_may_divide_work_as_it_likes():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jax.ShapeDtypeStruct((64, 16), jnp.bfloat16, sharding=jax.NamedSharding(mesh, jax.P("x")))
    found = collectives(jax.jit(lambda x: jnp.sum(x.astype(jnp.float32))).lower(x).compile())
    assert found == {"all-reduce": Collective(1, 2 * 4 * 7 / 8)}


# What other compilers write: groups as a product of axes, all devices, starts with operands, layouts of tiles.
TEXT = """HloModule step, is_scheduled=true, replica_count=1, num_partitions=8

%body (x: f32[4]) -> f32[4] {
  ROOT %sum = f32[4]{0:T(128)} all-reduce(%x), replica_groups=[2,4]<=[8], to_apply=%add
}

ENTRY %main (p: bf16[2,8]) -> bf16[16,8] {
  %gather = (bf16[2,8]{1,0:T(8,128)(2,1)}, bf16[16,8]{1,0}) all-gather-start(%p), replica_groups={}, dimensions={0}
  %done = bf16[16,8]{1,0} all-gather-done(%gather)
  %move = (s32[4]{0}, s32[4]{0}, u32[], u32[]) collective-permute-start(%q), source_target_pairs={{0,1}}
  %loop = f32[4]{0} while(%x), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %alone = f32[4]{0} all-reduce(%x), replica_groups={{0},{1}}, to_apply=%add
  %swap = f32[8]{0} all-to-all(%x), replica_groups=mesh['a'=4,'b'=2] {'b'}, dimensions={0}
  %part = f32[8]{0} all-to-all(%x), replica_groups=mesh['a'=4,'b'=2] {'a':(2)2,'b'}, dimensions={0}
}
"""


class Foreign:
    """A program of another compiler."""

    def as_text(self):
        return TEXT


def test_texts_of_other_compilers_are_read():
    found = collectives(Foreign())
    assert found == {
        "all-gather": Collective(1, 16 * 8 * 2 * 7 / 8),
        "all-reduce": Collective(3, 3 * 2 * 16 * 3 / 4),
        "all-to-all": Collective(2, 32 * (1 / 2 + 3 / 4)),
        "collective-permute": Collective(1, 16),
    }


def test_a_program_of_one_device_sends_nothing():
    assert collectives(jax.jit(functools.partial(jnp.add, 1)).lower(1.0).compile()) == {}
