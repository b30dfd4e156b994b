"""A black-box suite for any cluster DNS server, clause by clause; it knows only client and wire."""
