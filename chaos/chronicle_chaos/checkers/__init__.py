"""Checkers: pure functions of a history and final reads."""
