"""A coordinator under generated hostile traffic, beside two honest nodes and their jobs. See `__main__`."""
