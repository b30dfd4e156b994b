"""Names, messages and records as bytes. No I/O, no clock, no chance."""
