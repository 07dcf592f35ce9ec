"""What runs circuits at IBM Quantum."""
