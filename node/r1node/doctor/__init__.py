"""Preflight: one check for each function, each with its fix."""
