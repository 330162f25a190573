"""A job's model on this host: what it is loaded from, what computes it, in which precision, and whether it's right."""
