"""Trained networks: finding them, and applying them to pictures of any size."""
