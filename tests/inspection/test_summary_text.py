"""A summary as a text and as HTML."""

import html.parser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.inspection.summary_text import binary_size, patterns, size


def params():
    return {
        "embed": jnp.ones((10, 4)),
        "layers": [{"bias": jnp.ones(3), "kernel": jnp.ones((4, 3))} for _ in range(2)],
    }


def matrices(tree):
    return jax.tree.map(lambda p: p.ndim == 2, tree)


def by_rank(tree):
    return jax.tree.map(lambda p: "matrix" if p.ndim == 2 else "rest", tree)


def test_it_prints_composition_groups_state_totals_and_warnings():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(3e-4, 0.999, mu_dtype="bfloat16", mask=matrices))
    assert (
        repr(gradtx.summary(tx, params()))
        == str(gradtx.summary(tx, params()))
        == """\
chain
├─ clip_by_global_norm(max_norm=1.0)
└─ adamw(learning_rate=0.0003, b1=0.999, b2=0.999, eps=1e-08, eps_root=0.0, weight_decay=0.0001,
   │     mu_dtype='bfloat16', mask=matrices)
   ├─ scale_by_adam(b1=0.999, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype='bfloat16')
   ├─ add_decayed_weights(weight_decay=0.0001, mask=matrices)
   └─ scale_by_learning_rate(learning_rate=0.0003)

arrays  parameters  transformation              weight decay
     3          64  clip_by_global_norm, adamw  0.0001
    embed, layers/*/kernel (2)
     2           6  clip_by_global_norm, adamw  none
    layers/*/bias (2)

state                   like       dtype     arrays  bytes
ScaleByAdamState.count  scalar     int32          1    4 B
ScaleByAdamState.mu     parameter  bfloat16       5  140 B
ScaleByAdamState.nu     parameter  float32        5  280 B

parameters: 280 B in 5 arrays, 70 numbers
state: 424 B in 11 arrays, 6.057 bytes per parameter
peak of an update: 984 B, with gradients of 280 B

! ScaleByAdamState.mu is kept in bfloat16, in which it never decays: b1 is 0.999; keep it in
  float32."""
    )


def test_labels_have_a_column_where_there_are_some():
    text = str(gradtx.summary(gradtx.partition({"matrix": gradtx.sgd(0.1), "rest": gradtx.adam(1e-3)}, by_rank), params()))
    assert "\ngroup   arrays  parameters  transformation  weight decay\nmatrix       3          64  sgd" in text
    assert "\nrest: ScaleByAdamState.mu " in text


def test_the_peak_of_an_update_has_what_is_there_for_a_while():
    of = {"w": jnp.ones((16, 512), jnp.bfloat16)}
    assert str(gradtx.summary(gradtx.sgd(0.1), of)).endswith("\npeak of an update: 32.8 kB, with gradients of 16.4 kB")
    text = str(gradtx.summary(gradtx.compensated(gradtx.quantized(gradtx.adam(1e-3))), of))
    assert text.endswith("\npeak of an update: 164.1 kB, with gradients of 16.4 kB and temporaries of 98.3 kB")


def test_the_host_has_a_column_where_it_keeps_something():
    of = {"w": jnp.ones((16, 512)), "b": jnp.ones(3)}
    text = str(gradtx.summary(gradtx.offloaded(gradtx.adam(1e-3)), of))
    assert (
        """\
state                   like       dtype    arrays    bytes  on the host
ScaleByAdamState.count  scalar     int32         1      4 B          0 B
ScaleByAdamState.mu     parameter  float32       2  32.8 kB      32.8 kB
ScaleByAdamState.nu     parameter  float32       2  32.8 kB      32.8 kB
"""
        in text
    )
    assert "\nstate: 65.6 kB in 5 arrays, 8 bytes per parameter, 65.5 kB of it on the host\n" in text
    assert "host" not in str(gradtx.summary(gradtx.adam(1e-3), of))


def test_without_a_state_there_is_no_table_of_it():
    text = str(gradtx.summary(gradtx.sgd(0.1), params()))
    assert "dtype" not in text
    assert "\nstate: 0 B in 0 arrays, 0 bytes per parameter\n" in text


@pytest.mark.parametrize("weight_decay", [0.1, jnp.asarray(0.1), np.asarray(0.1)])
def test_a_weight_decay_is_a_number_whatever_holds_it(weight_decay):
    assert "adamw           0.1\n" in str(gradtx.summary(gradtx.adamw(1e-3, weight_decay=weight_decay), params()))


def test_a_scheduled_weight_decay_is_the_schedule():
    schedule = gradtx.linear_schedule(0.1, 0.0, 10)
    assert "adamw           linear_schedule(0.1, 0.0, 10)\n" in str(
        gradtx.summary(gradtx.adamw(1e-3, weight_decay=schedule), params())
    )


def test_many_kinds_of_paths_are_cut_short():
    text = str(gradtx.summary(gradtx.sgd(0.1), {f"layer_{chr(97 + k)}": jnp.ones(2) for k in range(20)}))
    assert "layer_l, and 8 more" in text
    assert "layer_m" not in text


def test_a_long_argument_is_cut_short():
    of = {f"layer_{k}": jnp.ones(2) for k in range(20)}
    call = str(gradtx.summary(gradtx.masked(gradtx.sgd(0.1), dict.fromkeys(of, True)), of)).partition("└─")[0]
    assert "layer_0" in call
    assert "...)" in call
    assert len(" ".join(call.split())) < 250


def test_no_line_is_wide():
    schedule = gradtx.warmup_cosine_decay_schedule(0.0, 3e-4, 100, 1000, 1e-5)
    tx = gradtx.partition({"matrix": gradtx.muon(schedule), "rest": gradtx.adamw(schedule)}, by_rank)
    lines = str(gradtx.summary(tx, params())).splitlines()
    assert max(map(len, lines)) <= 100


def test_indices_in_paths_are_stars_with_a_number():
    paths = ["embed", "layers/0/w", "layers/1/w", "layers/0/b", "conv1/w"]
    assert patterns(paths) == ["embed", "layers/*/w (2)", "layers/*/b", "conv1/w"]


@pytest.mark.parametrize(
    ("number", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.0 kB", "1000 B"),
        (1024, "1.0 kB", "1.0 KiB"),
        (7 * 10**9, "7.0 GB", "6.5 GiB"),
        (3 * 10**18, "3.0 EB", "2.6 EiB"),
    ],
)
def test_bytes_have_units(number, decimal, binary):
    assert (size(number), binary_size(number)) == (decimal, binary)


class Text(html.parser.HTMLParser):
    """Collects the text of a page, and checks that tags are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_notebooks_show_tables():
    tx = gradtx.partition({"matrix": gradtx.adam(1e-3), "rest": gradtx.sgd(0.1)}, by_rank)
    cells = Text(gradtx.summary(tx, params())._repr_html_()).cells
    assert {"matrix: adam(learning_rate=0.001, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0)"} <= set(cells)
    assert {"embed, layers/*/kernel (2)", "matrix: ScaleByAdamState.mu", "256 B"} <= set(cells)
    assert "state: 516 B in 7 arrays, 7.371 bytes per parameter" in cells


def test_names_are_escaped_in_html():
    tx = gradtx.partition({"<b>": gradtx.adam(1e-3)}, {"a&b": "<b>", "<i>": "<b>"})
    page = gradtx.summary(tx, {"a&b": jnp.ones(2), "<i>": jnp.ones(2)})._repr_html_()
    assert "&lt;b&gt;: adam(" in page
    assert "a&amp;b" in page
    assert "<i>" not in page
    assert {"&lt;i&gt;, a&amp;b"} <= set(page.replace("</td>", "<td>").split("<td>"))


def test_warnings_are_in_html_too():
    assert "<p><b>Every parameter is frozen.</b></p>" in gradtx.summary(gradtx.set_to_zero(), params())._repr_html_()
