"""N processes that serve as one: a supervisor, one worker that watches, others that are fed."""
