"""What a played cluster stands on: namespaces of its own, or loopback addresses."""
