"""Results and products on disk, safe for many processes."""
