"""How fast casjax is on this machine, beside the machine's own limits and beside PyTorch."""
