"""Networks as files that other programs run: StableHLO and ONNX.

Both hold the same function. Its input is the luma of a decoded JPEG, float32 [batch, height, width,
1] in [0, 1], in MATLAB's range of 16/255 to 235/255, with height and width multiples of the
network's alignment; its output is the restored luma, of the same shape, clipped to [0, 1].

A colour network takes the planes Y, Cb and Cr instead, float32 [batch, height, width, 3] in 0..255,
with chroma enlarged to all pixels and height and width as above, and the file's quantisation tables
of luma and of chroma, float32 [batch, 2, 8, 8]; it returns the restored planes, clipped to 0..255
and not rounded.
"""
