"""Transformations of no paper in particular: a gradient in, a better one out. One theme a file."""
