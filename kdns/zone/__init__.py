"""Names become answers for the cluster zones: pure functions over the Store."""
