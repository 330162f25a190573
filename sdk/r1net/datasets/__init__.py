"""Data sets: a submitter's own rows on their way into a job, and accepted traces on their way out."""

from r1net.datasets.export import ProofBook, export_traces
from r1net.datasets.intake import Dataset, Prepared
from r1net.datasets.overlap import Report

__all__ = ["Dataset", "Prepared", "ProofBook", "Report", "export_traces"]
