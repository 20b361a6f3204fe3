"""What is to be run, what a search tries, and what it will take."""
