"""Image pair in, signed package out."""
