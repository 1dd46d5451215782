//! Plain, readable forms of every operation, forward and backward.
