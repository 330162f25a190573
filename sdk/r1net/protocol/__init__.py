"""Messages and their rules."""
