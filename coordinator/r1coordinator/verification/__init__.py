"""Admission: nothing a node says is believed that can be recomputed."""
