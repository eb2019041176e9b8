"""Optimizers: chains of transformations, a few lines each, with their formula and paper."""
