"""A model's weight files: what is in them, and the arithmetic that makes a version's weights of what was trained.

numpy alone, so that a submitter's machine needs no torch for it.
"""
