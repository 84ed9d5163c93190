"""Does a trait last: prompts and training against it."""
