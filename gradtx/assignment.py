"""The linear assignment problem: match rows and columns at the least cost."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx.tree import full_of_shape


class _Matching(NamedTuple):
    """A matching of the first rows, with dual variables that prove it optimal. -1 stands for not matched."""

    column_of_row: jax.Array
    row_of_column: jax.Array
    u: jax.Array
    v: jax.Array


class _Search(NamedTuple):
    """A search for the shortest augmenting path from one row (Dijkstra's algorithm on reduced costs)."""

    row: jax.Array  # visited last
    length: jax.Array  # of the path to it
    sink: jax.Array  # a free column, -1 until one is reached
    distance: jax.Array  # of each column
    previous: jax.Array  # row on the path to each column
    rows_seen: jax.Array
    columns_seen: jax.Array


def hungarian_algorithm(cost_matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the assignment of rows to columns with the least sum of costs.

        min Σᵢ C[i, j(i)]   over matchings of size min(n, m)

    Shortest augmenting paths, one row after another, in O(min(n, m)²·max(n, m)); works under `jit` and `vmap`.

    Args:
      cost_matrix: C, of shape (n, m). An infinite cost forbids a pair; if none is free of them, the pairs mean nothing.

    Returns:
      Rows and columns of the pairs, two vectors of length min(n, m), in the order of the rows.

    Raises:
      ValueError: `cost_matrix` is not a matrix.

    References:
      Kuhn, The Hungarian Method for the Assignment Problem, 1955, https://doi.org/10.1002/nav.3800020109
      Crouse, On Implementing 2D Rectangular Assignment Algorithms, 2016, https://doi.org/10.1109/TAES.2016.140952
    """
    costs = jnp.asarray(cost_matrix)
    if costs.ndim != 2:
        raise ValueError(f"hungarian_algorithm: cost_matrix must have two axes, got the shape {costs.shape}.")
    if not jnp.issubdtype(costs.dtype, jnp.floating):
        costs = costs.astype(jnp.float32)
    if costs.shape[0] > costs.shape[1]:
        columns, rows = hungarian_algorithm(costs.T)
        order = jnp.argsort(rows)
        return rows[order], columns[order]
    n, m = costs.shape
    nobody = jnp.full(m, -1, jnp.int32)
    start = _Matching(nobody[:n], nobody, full_of_shape(costs, n), full_of_shape(costs, m))
    matching = jax.lax.fori_loop(0, n, lambda row, matching: _augment(costs, matching, row), start) if n else start
    return jnp.arange(n, dtype=jnp.int32), matching.column_of_row


def _augment(costs: jax.Array, matching: _Matching, first: jax.Array) -> _Matching:
    """Match one row more."""
    found = _shortest_path(costs, matching, first)
    # Dual variables move so that the path costs nothing and no reduced cost turns negative.
    slack = found.length - found.distance
    u = matching.u + jnp.where(found.rows_seen, slack[matching.column_of_row], 0)
    u = u.at[first].set(matching.u[first] + found.length)
    v = matching.v - jnp.where(found.columns_seen, slack, 0)

    def swap(state):
        column, column_of_row, row_of_column = state
        row = found.previous[column]
        return column_of_row[row], column_of_row.at[row].set(column), row_of_column.at[column].set(row)

    def on_path(state):
        return (state[0] >= 0) & (found.previous[state[0]] >= 0)

    # The path is walked back from the free column; it ends at `first`, which had none.
    ends = (found.sink, matching.column_of_row, matching.row_of_column)
    _, column_of_row, row_of_column = jax.lax.while_loop(on_path, swap, ends)
    return _Matching(column_of_row, row_of_column, u, v)


def _shortest_path(costs: jax.Array, matching: _Matching, first: jax.Array) -> _Search:
    n, m = costs.shape
    zero = full_of_shape(costs, ())

    def visit(search: _Search) -> _Search:
        rows_seen = search.rows_seen.at[search.row].set(True)
        through_row = search.length + costs[search.row] - matching.u[search.row] - matching.v
        shorter = ~search.columns_seen & (through_row < search.distance)
        distance = jnp.where(shorter, through_row, search.distance)
        previous = jnp.where(shorter, search.row, search.previous)
        # Below infinity even if the distance is not, so that each visit sees a new column and the search ends.
        unseen = jnp.minimum(distance, jnp.finfo(costs.dtype).max)
        column = jnp.argmin(jnp.where(search.columns_seen, jnp.inf, unseen)).astype(jnp.int32)
        owner = matching.row_of_column[column]
        return _Search(
            row=owner,
            length=distance[column],
            sink=jnp.where(owner < 0, column, -1),
            distance=distance,
            previous=previous,
            rows_seen=rows_seen,
            columns_seen=search.columns_seen.at[column].set(True),
        )

    start = _Search(
        row=jnp.asarray(first, jnp.int32),
        length=zero,
        sink=jnp.asarray(-1, jnp.int32),
        distance=full_of_shape(costs, m, jnp.inf),
        previous=jnp.full(m, -1, jnp.int32),
        rows_seen=jnp.zeros(n, bool),
        columns_seen=jnp.zeros(m, bool),
    )
    return jax.lax.while_loop(lambda search: search.sink < 0, visit, start)
