"""Tokens of vendors: kept in one way for all of them, and never shown."""
