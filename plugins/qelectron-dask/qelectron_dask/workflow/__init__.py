"""Workflows: electrons as nodes of a lattice, dispatched as a whole."""
