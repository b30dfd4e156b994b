"""Asks one upstream server."""
