"""Datagrams: read and answered many at once, and shared fairly when there are too many."""
