"""Whole zones kept at hand: read from files, followed from masters, given to secondaries."""
