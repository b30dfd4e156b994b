"""Talks to a Kubernetes API server: credentials, session, lists, watches, comparison."""
