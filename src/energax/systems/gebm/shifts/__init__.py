"""What makes nodes foreign, one a file."""
