"""What the files are made of that travel with a job: `common`, then the adapter's own part. They are run nowhere but in
the environments' own interpreter and in sandboxes, and import nothing of r1net there."""
