"""Transformations: a gradient in, a better one out. One theme or one paper a file."""
