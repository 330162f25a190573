"""What the coordinator remembers: a database for the truth, a content-addressed store for blobs."""
