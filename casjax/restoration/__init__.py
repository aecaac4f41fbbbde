"""Restoring photographs, below the command: from plain arrays to files."""
