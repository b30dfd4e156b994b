"""The language of expressions in `view` and `template`: text to checked, bounded closures."""
