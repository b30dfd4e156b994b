"""Streams: connections accepted, secured, and read as DNS messages behind their length."""
