"""Wrappers: a transformation in, a transformation out."""
