"""How the admin of a lab gets into its pods: commands and terminals over WebSockets."""
