"""The speed of casjax on this machine, compared with the machine's limits and with PyTorch."""
