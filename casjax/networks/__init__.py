"""Trained networks: where they are found, and how they are put to pictures of any size."""
