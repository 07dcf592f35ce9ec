"""What pages show, read from the store as plain rows; nothing here draws."""
