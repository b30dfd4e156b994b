"""Broken clusters and how they are explained."""
