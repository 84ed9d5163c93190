"""Files, downloads, subprocesses and the terminal."""
