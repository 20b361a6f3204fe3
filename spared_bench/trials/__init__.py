"""One trial, from its products to its record."""
