"""Corefile text becomes server blocks of checked directives."""
