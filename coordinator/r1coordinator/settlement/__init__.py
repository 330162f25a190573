"""Epochs: contributions become Merkle trees, and these go on chain."""
