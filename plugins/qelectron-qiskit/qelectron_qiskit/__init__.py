"""Qiskit for qelectron: Aer, snapshots of IBM's machines, and IBM Quantum."""

from qelectron_core import Register, hookimpl


@hookimpl
def qelectron_register_executors(register: Register) -> None:
    """Offer `QiskitExecutor`, and the name that old programs use."""
    register("QiskitExecutor", "qelectron_qiskit.executor:QiskitExecutor")
    register("IBMQExecutor", "qelectron_qiskit.executor:IBMQExecutor")


@hookimpl
def qelectron_register_tokens(register: Register) -> None:
    """Offer to keep the token of an account at IBM Quantum."""
    register("ibm", "qelectron_qiskit.ibm.tokens:TOKENS")
