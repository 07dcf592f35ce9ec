"""Compare ways to run circuits on a simulator, all against the bare QNode.

Run by hand: `uv run --all-packages --group benchmarks python
tests/benchmarks/simulator.py`, which takes about 45 minutes on two quiet cores;
`--quick` takes a few, and leaves out budgets that need more circuits. The group brings
joblib and Dask; without it they are named as left out. `--json` keeps every single
ratio, from which `--from-json FILE --plots FOLDER` prints and draws it all again.

Each pair is a loop over the bare QNode and then its contender, A B A B, because
machines drift; a ratio is the time of the loop over that of the contender, so that
above 1 is faster. No two calls have the same parameters. Once per row, before it is
timed, both sides' results are compared, which also makes them warm. Groups of rows:

- `grid`: loops of calls, `run_later`, `map`, and `qml.execute` of one batch, over
  wires, devices, shots, and ways to write a circuit. Of 20 wires there are two layers.
- `contenders`: all others, too, for four wires, and for twelve as one template, all
  exact. To start their processes takes seconds, so more rows would take hours. It is
  not timed, but for `default.qubit(max_workers=2)`, which starts them for each batch.
- `scaling`: ever more wires, and ever fewer circuits.
- `points`: a large `map` of a function that also takes all points in one array.
- `gradients`: of 20 parameters, against the bare QNode's by the same method.

A row whose loop would take more than twice `--seconds-per-row` has fewer circuits, but
at least half; else it is left out, and its table says so. The budgets are those of
`docs/explanation/design.md`.
"""


def main() -> None:
    """Measure everything and print tables."""
    from simulator_suite.command import main as run

    run((__doc__ or "").partition("\n")[0])


if __name__ == "__main__":
    main()
