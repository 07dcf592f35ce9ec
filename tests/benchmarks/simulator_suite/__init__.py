"""The parts of `tests/benchmarks/simulator.py`."""
