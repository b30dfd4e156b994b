"""Tests of kdns/lab/policies."""
