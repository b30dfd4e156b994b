"""Where cluster objects come from. Sources do not know each other, nor the Store."""
