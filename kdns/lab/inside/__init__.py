"""What a command finds in a played pod: its environment and its files."""
