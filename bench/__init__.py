"""`make bench`: this project's networks against what a person could use instead, in turn, in the same minutes."""
