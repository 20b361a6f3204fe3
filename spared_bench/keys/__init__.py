"""What keys are made of: hashes of values, of files and of code."""
