"""One module for each kind of object, or small family: what the lab does when one is written."""
