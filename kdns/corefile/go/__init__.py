"""What Corefiles have from Go: its templates and the syntax of its regular expressions."""
