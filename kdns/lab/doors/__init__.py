"""How the admin of a lab gets into its pods: commands, terminals and forwarded ports."""
