"""The checks of other nodes' work: replay, verdict, evidence, and the part of a juror."""
