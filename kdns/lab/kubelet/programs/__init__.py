"""The programs that pods run in the lab: small servers that say which pod answered, and shells."""
