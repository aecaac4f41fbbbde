"""Networks as files that other programs run: StableHLO and ONNX.

Both hold the same function: luma float32 [batch, height, width, 1] in [0, 1], a decoded JPEG's in
MATLAB's range of 16/255 to 235/255, height and width multiples of the network's alignment; to the
restored luma, the same shape, clipped to [0, 1]. Of a network for colour it takes the planes Y, Cb
and Cr instead, [batch, height, width, 3], and the condition [batch, 2], which tells of the tables:
see `networks.colour`.
"""
