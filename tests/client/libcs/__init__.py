"""Real C libraries as referees: what glibc and musl ask and say, against servers that are scripted."""
