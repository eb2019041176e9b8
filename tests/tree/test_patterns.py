"""Patterns: globs, regular expressions, functions, and tuples of them."""

import fnmatch
import re
from typing import Any

import jax.numpy as jnp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gradtx.tree import MaskedNode
from gradtx.tree.patterns import _regex, check_pattern, finder, first_matches, may_match, shown


def matches(pattern, path, leaf: Any = 0.0):
    return finder(pattern)(path, leaf) is not None


def is_bias(path, leaf):
    return path.endswith("bias")


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("layers/0/bias", "layers/0/bias"),
        ("**/bias", "bias"),
        ("**/bias", "layers/0/bias"),
        ("layers/**", "layers"),
        ("layers/**", "layers/0/bias"),
        ("**", ""),
        ("**", "a/b"),
        ("", ""),
        ("a/**/b/**/c", "a/x/b/y/z/c"),
        ("*/bias", "dense/bias"),
        ("layer_*/k?rnel", "layer_10/kernel"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[*]", "*"),
        ("[#]", "#"),
        ("[]]", "]"),
        ("a[", "a["),
        ("a[]", "a[]"),
        ("a.b+(c)", "a.b+(c)"),
        ("~", "~"),
        (r"a\b", r"a\b"),
        ("layer_#", "layer_007"),
    ],
)
def test_a_glob_matches_the_whole_path(glob, path):
    assert matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("bias", "dense/bias"),
        ("dense", "dense/bias"),
        ("*", "a/b"),
        ("a?b", "a/b"),
        ("a[!x]b", "a/b"),
        ("**/bias", "dense/rebias"),
        ("layers/#/**", "layers/norm/scale"),
        ("layers/#", "layers/"),
        ("layers/#", "layers/-1"),
        ("layers/#", "layers/1a"),
        ("Bias", "bias"),
        ("a.b", "axb"),
        ("layers/**/x", "layersx"),
    ],
)
def test_a_glob_matches_no_more_than_it_says(glob, path):
    assert not matches(glob, path)


def reference(globs, parts):
    """Globs by fnmatch, part by part."""
    if not globs:
        return not parts
    if globs[0] == "**":
        return any(reference(globs[1:], parts[k:]) for k in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], globs[0]) and reference(globs[1:], parts[1:])


part = st.text("ab]!^[", min_size=1, max_size=3)
glob_part = st.one_of(st.just("**"), st.just("*"), part, st.text("ab*?[]!^", min_size=1, max_size=5))


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.lists(glob_part, min_size=1, max_size=4), st.lists(part, min_size=1, max_size=4))
def test_a_glob_agrees_with_fnmatch_part_by_part(globs, parts):
    assume(all(glob == "**" or "**" not in glob for glob in globs))
    assert matches("/".join(globs), "/".join(parts)) == reference(globs, parts)


def test_numbers_of_a_glob_and_groups_of_a_regular_expression_are_found():
    assert finder("stages/#/layers/block_#/**")("stages/2/layers/block_10/w", 0.0) == (2, 10)
    assert finder("**/bias")("bias", 0.0) == ()
    assert finder(re.compile(r"(encoder|decoder)/(\d+)/(x)?.*"))("encoder/07/bias", 0.0) == ("encoder", 7, "")


def test_a_regular_expression_must_match_the_whole_path():
    assert matches(re.compile(r".*/bias"), "dense/bias")
    assert not matches(re.compile(r"bias"), "dense/bias")


def test_a_function_is_asked_about_leaves_and_not_about_holes():
    asked = []

    def pattern(path, leaf):
        asked.append((path, leaf.ndim))
        return leaf.ndim == 2

    assert matches(pattern, "a", jnp.ones((2, 2)))
    assert not matches(pattern, "a", MaskedNode())
    assert not matches(pattern, "a", None)
    assert asked == [("a", 2)]


def test_a_function_that_returns_no_bool_is_refused_by_path():
    with pytest.raises(TypeError, match=r"<lambda> must return True or False for 'dense/bias', got Array\(True"):
        finder(lambda path, leaf: (leaf > 0).all())("dense/bias", jnp.ones(2))


def test_an_error_in_a_function_says_which_leaf_it_was_asked_about():
    with pytest.raises(AttributeError, match="ndim") as raised:
        finder(lambda path, leaf: leaf.ndim == 2)("dense/activation", jnp.tanh.__call__)
    assert raised.value.__notes__ == ["The pattern <lambda> was asked about 'dense/activation', a method-wrapper."]


def test_a_tuple_matches_if_one_of_its_patterns_does_and_finds_what_the_first_does():
    pattern = ("encoder/#", ("decoder/#", re.compile("head"), is_bias))
    assert finder(pattern)("decoder/3", 0.0) == (3,)
    assert finder(pattern)("head", 0.0) == ()
    assert finder(pattern)("x/bias", 0.0) == ()
    assert finder(pattern)("x", 0.0) is None


def test_the_first_pattern_that_matches_counts():
    assert first_matches(["a/**", "**/#", "**"], [("b/4", 0.0)]) == [(1, (4,))]
    assert first_matches(["a/**"], [("b", 0.0)]) == [None]


def test_a_function_may_have_matched_where_there_is_a_hole():
    assert may_match(is_bias, [("a", None)])
    assert may_match(("x", is_bias), [("a", MaskedNode())])
    assert not may_match(is_bias, [("a", 0.0)])
    assert may_match("a", [("a", None)])
    assert not may_match("b", [("a", None)])


@pytest.mark.parametrize("pattern", [3, None, b"bias", re.compile(b"bias"), ["**/bias"], (), ("a", 3)])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(TypeError, match=r".* is not a pattern. Write a glob such as '\*\*/bias', a regular expression"):
        check_pattern(pattern)


def test_a_glob_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"^'a\*\*/b' is not a glob: '\*\*' is a part of its own"):
        check_pattern("a**/b")
    with pytest.raises(ValueError, match=r"^'\[z-a\]' is not a glob: bad character range"):
        check_pattern(("a", "[z-a]"))


def test_a_pattern_is_shown_as_it_is_written():
    assert shown("**/bias") == "'**/bias'"
    assert shown(("a", re.compile("b"), is_bias)) == "('a', re.compile('b'), is_bias)"


def test_of_many_globs_each_is_compiled_once_a_tree():
    globs = [f"layers/{layer}/**" for layer in range(300)]  # more than are kept
    leaves = [(f"layers/{layer}/{name}", 0.0) for name in "abc" for layer in range(300)]
    _regex.cache_clear()
    assert first_matches(globs, leaves) == [(layer, ()) for _ in "abc" for layer in range(300)]
    assert _regex.cache_info().misses == len(globs)
