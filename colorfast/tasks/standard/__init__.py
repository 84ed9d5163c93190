"""The shipped standard tasks, one file each."""
