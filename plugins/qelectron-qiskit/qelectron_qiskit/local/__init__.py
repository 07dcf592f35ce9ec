"""What runs circuits on this machine."""
