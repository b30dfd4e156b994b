"""The reasons, a module per family: each a function from a Case to a Reason, or None."""
