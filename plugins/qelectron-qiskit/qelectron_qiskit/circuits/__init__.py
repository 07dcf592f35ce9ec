"""Circuits of PennyLane as Qiskit runs them, and their results from what it reads."""
