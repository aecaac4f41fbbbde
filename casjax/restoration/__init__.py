"""What restores photographs, below the command: plain arrays at the bottom, files at the top."""
