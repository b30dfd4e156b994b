"""Cluster objects become a Store: sources yield events, the Store applies them to its indexes."""
