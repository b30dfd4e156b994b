"""Sources yield events about cluster objects; the Store applies them and says what changed."""
