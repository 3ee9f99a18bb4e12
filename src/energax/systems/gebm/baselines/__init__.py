"""Methods that score nodes, one a file: what stands here is in the table."""
