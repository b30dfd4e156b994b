"""The status page: what a running server knows, as a page that follows it."""
