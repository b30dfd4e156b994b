"""Who may do what in the lab, and whose words may run as commands."""
