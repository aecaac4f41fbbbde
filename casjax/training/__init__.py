"""Training a network: phases of steps over cut-outs, with checkpoints to resume from."""
