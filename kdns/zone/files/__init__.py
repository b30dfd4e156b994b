"""Zones in files: text to records to a compiled zone, and questions to answers from it."""
