"""How a network is trained: phases of steps over cut-outs, with checkpoints to resume from."""
