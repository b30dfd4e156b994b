"""Transports, the pipeline and the answer table."""
