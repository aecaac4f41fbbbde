"""CAS-CNN (Cavigelli, Hager, Benini): Table I and Figure 1 of the paper."""

import functools
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from casjax.models import convolutions
from casjax.models.convolutions.activation import Activation, activate
from casjax.models.initial import Initializer, Kind, initial_bias, initial_kernel


class CASCNN(nn.Module):
    """12 layers with hierarchical skip connections and an image at each of four scales.

    Attributes:
      prelu: one slope per layer (``"shared"``) or per channel (``"channel"``). The paper does
        not say; shared is the default of Torch, which it used.
      activate_outputs: whether the luma outputs pass through a PReLU too. In the paper, all
        layers of Table I do.
      padding: ``"zero"``, the default of Torch, or ``"edge"``. The paper does not say.
      skip_connections: whether the result of a full-convolution is concatenated with the features
        of the block at its resolution (red in Figure 1).
      residual: whether the outputs are increments to the input. Section III-A reports no gain.
      batch_norm: whether all layers but the outputs are normalised over the batch: by its own
        statistics where the collection ``batch_stats`` is mutable, by running ones elsewhere.
        Section III-A reports a loss of accuracy. The running statistics keep 0.9 of their
        previous value at each step, the default of Torch.
      initializer: ``"paper"``, or ``"image_carrying"`` which starts from the identity.
      dtype: ``"float32"`` or ``"bfloat16"``: the dtype of activations and products. Parameters,
        sums and outputs are always float32. ``"mixed"`` is float32 at full resolution, where the
        picture itself passes through the layers, and bfloat16 at the others and in gradients.
      convolution: the formulation, see `casjax.models.convolutions.resolve`.
      channels: 1 for luma, the paper's network; or 3 for Y, Cb and Cr, all at full resolution.
        Chroma outputs are increments to the degraded planes, without a PReLU.
      condition: how many numbers describe the compression to the network, each as an input plane
        beside the degraded ones; 0 for none, as in the paper.
    """

    prelu: Literal["shared", "channel"]
    activate_outputs: bool
    padding: Literal["zero", "edge"]
    skip_connections: bool
    residual: bool
    batch_norm: bool
    initializer: Initializer
    dtype: Literal["float32", "bfloat16", "mixed"]
    convolution: convolutions.Formulation
    channels: Literal[1, 3] = 1
    condition: Literal[0, 2] = 0

    alignment: ClassVar[int] = 8
    """The input's height and width must be multiples of this: three poolings by two."""
    halo: ClassVar[int] = 46
    """No 8x8 block of output pixels on the grid depends on input pixels farther outside the block.

    A single pixel may depend on some that are 52 rows or columns away.
    """

    @nn.compact
    def __call__(
        self, degraded: jax.Array, condition: jax.Array | None = None
    ) -> tuple[jax.Array, ...]:
        """Restore luma, or luma and chroma.

        Args:
          degraded: float ``[n, h, w, channels]``, ``h`` and ``w`` multiples of 8: planes in the
            range of MATLAB's luma, 16/255 to 235/255 for Y.
          condition: float ``[n, k]``, the ``k`` numbers given to the network; None without any.

        Returns:
          Four float32 images, not clipped, finest first: ``[n, h, w, channels]``, then half, a
          quarter and an eighth of the height and width.

        Raises:
          ValueError: a shape is not as above.
        """
        n, h, w, channels = degraded.shape
        if h % self.alignment or w % self.alignment or channels != self.channels:
            raise ValueError(
                f"CAS-CNN takes [n, h, w, {self.channels}] with h and w multiples of "
                f"{self.alignment}, not {list(degraded.shape)}: pad the image"
            )
        told = (n, 0) if condition is None else condition.shape
        if told != (n, self.condition):
            raise ValueError(
                f"CAS-CNN takes a condition {[n, self.condition]} here, not {list(told)}"
            )
        layer = partial(
            Layer,
            prelu=self.prelu,
            padding=self.padding,
            batch_norm=self.batch_norm,
            initializer=self.initializer,
            convolution=self.convolution,
        )
        conv = partial(layer, kind="conv")
        full_conv = partial(layer, kind="full_conv")
        output = partial(
            layer,
            kind="output",
            features=channels,
            linear_features=channels - 1,
            activate=self.activate_outputs,
            increments=self.residual,
        )

        # Figure 1, downwards: two convolutions per block, the resolution halved between blocks.
        mixed = self.dtype == "mixed"
        fine, coarse = ("float32", "bfloat16") if mixed else (self.dtype, self.dtype)
        seen = [degraded.astype(fine)]
        if condition is not None:
            planes = jnp.broadcast_to(condition[:, None, None], (n, h, w, self.condition))
            seen.append(planes.astype(fine))
        a = conv(name="A1", features=128, mixed=mixed)(seen)
        a = conv(name="A2", features=128, mixed=mixed)([a])
        b = conv(name="B1", features=128)([average_pool(a).astype(coarse)])
        b = conv(name="B2", features=128)([b])
        c = conv(name="C1", features=256)([average_pool(b)])
        c = conv(name="C2", features=256)([c])
        d = conv(name="D1", features=256)([average_pool(c)])
        d = conv(name="D2", features=256)([d])

        # Upwards: the features of a scale give its image, and are upsampled for the next finer
        # scale, where they join that scale's own features and the upsampled image.
        def join(block: jax.Array, enlarged: jax.Array, image: jax.Array) -> list[jax.Array]:
            below = [enlarged.astype(block.dtype), upsample(image).astype(block.dtype)]
            return [block, *below] if self.skip_connections else below

        scales = [degraded]
        for _ in range(3):
            scales.append(average_pool(scales[-1]))
        is_increment = np.array([self.residual, True, True])[:channels]
        increment_of = [jnp.where(is_increment, image, 0) for image in scales]

        d_image = output(name="D_out")([d]) + increment_of[3]
        c = join(c, full_conv(name="D_up", features=256)([d]), d_image)
        c_image = output(name="C_out")(c) + increment_of[2]
        b = join(b, full_conv(name="C_up", features=128)(c), c_image)
        b_image = output(name="B_out")(b) + increment_of[1]
        a = join(a, full_conv(name="B_up", features=128)(b), b_image)
        a_image = output(name="A_out")(a) + increment_of[0]
        return a_image, b_image, c_image, d_image


class Layer(nn.Module):
    """One row of Table I with its PReLU: a convolution of the concatenation of its inputs."""

    kind: Kind
    features: int
    prelu: Literal["shared", "channel"]
    padding: Literal["zero", "edge"]
    batch_norm: bool
    initializer: Initializer
    convolution: convolutions.Formulation
    activate: bool = True
    linear_features: int = 0  # the last ones, which skip the PReLU
    increments: bool = False  # whether all features are added to the input
    mixed: bool = False  # whether the gradient of a float32 convolution is computed in bfloat16

    @nn.compact
    def __call__(self, inputs: Sequence[jax.Array]) -> jax.Array:
        """Map ``[n, h, w, c_i]`` each to ``[n, h, w, features]``, or ``[n, 2h, 2w, features]``."""
        size = 4 if self.kind == "full_conv" else 3
        shape = (size, size, sum(x.shape[-1] for x in inputs), self.features)
        kind: Kind = "increment" if self.increments else self.kind
        kernel = self.param("kernel", partial(initial_kernel, self.initializer, kind), shape)
        bias = self.param("bias", partial(initial_bias, self.initializer, kind), shape)
        slope = jnp.ones(())  # the identity
        if self.activate:
            bent = self.features - self.linear_features
            slopes = (bent,) if self.prelu == "channel" else ()
            slope = self.param("slope", nn.initializers.constant(0.25), slopes)

        if self.linear_features:
            others = jnp.broadcast_to(slope, self.features - self.linear_features)
            slope = jnp.concatenate([others, jnp.ones(self.linear_features)])
        kernel, activation = kernel.astype(inputs[0].dtype), Activation(bias, slope)
        if not self.batch_norm or self.kind == "output":
            return self._convolve(inputs, kernel, activation)
        y = self._convolve(inputs, kernel, None)
        training = self.is_mutable_collection("batch_stats")
        normalize = nn.BatchNorm(
            not training, momentum=0.9, axis_name="batch", use_bias=False, dtype=y.dtype
        )
        y = normalize(y)
        return activate(y, activation)

    def _convolve(
        self, inputs: Sequence[jax.Array], kernel: jax.Array, activation: Activation | None
    ) -> jax.Array:
        # For edge padding, the zero padding lies one pixel further out and is cropped away.
        if self.padding == "edge":
            rim = ((0, 0), (1, 1), (1, 1), (0, 0))
            inputs = [jnp.pad(x, rim, mode="edge") for x in inputs]
        if self.kind == "output":
            y = activate(convolutions.conv_to_few(inputs, kernel, self.convolution), activation)
        elif self.kind == "conv":
            conv = convolutions.mixed_conv3x3 if self.mixed else convolutions.conv3x3
            y = conv(inputs, kernel, self.convolution, activation)
        else:
            y = convolutions.full_conv4x4(inputs, kernel, self.convolution, activation)
        crop = 2 if self.kind == "full_conv" else 1
        return y[:, crop:-crop, crop:-crop] if self.padding == "edge" else y


@jax.custom_vjp
def average_pool(x: jax.Array) -> jax.Array:
    """Average over 2x2 pixels with stride 2: ``[n, h, w, c]`` to ``[n, h / 2, w / 2, c]``."""
    # A sum of slices, because XLA's CPU backend does not fuse reductions.
    parts = (x[:, i::2, j::2].astype(jnp.float32) for i in range(2) for j in range(2))
    return (functools.reduce(jnp.add, parts) / 4).astype(x.dtype)


# JAX's own gradient would set the slices one by one.
average_pool.defvjp(lambda x: (average_pool(x), None), lambda _, dy: (upsample(dy / 4),))


def upsample(x: jax.Array) -> jax.Array:
    """Upsample by two with nearest neighbours: ``[n, h, w, c]`` to ``[n, 2h, 2w, c]``."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)
