"""Pictures extended by their edges, against JAX's own form of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from casjax.models.chains import extended


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "rim"), [((2, 5, 7, 3), 2), ((1, 1, 2, 4), 3), ((1, 4, 1, 1), 0)]
)
def test_the_edge_is_repeated_and_gathers_its_gradients(shape, rim, dtype):
    def padded(images):
        return jnp.pad(images, ((0, 0), (rim, rim), (rim, rim), (0, 0)), mode="edge")

    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=shape), dtype)
    expected, pull_back = jax.vjp(padded, images.astype(jnp.float32))
    found, pull_back_found = jax.vjp(lambda images: extended(images, rim), images)
    np.testing.assert_array_equal(found.astype(jnp.float32), expected)
    assert found.dtype == dtype
    dy = jnp.asarray(rng.normal(size=expected.shape), dtype)
    tolerance = {"float32": 1e-6, "bfloat16": 2**-7}[dtype]
    [dx], [dx_expected] = pull_back_found(dy), pull_back(dy.astype(jnp.float32))
    assert dx.dtype == dtype
    np.testing.assert_allclose(
        dx.astype(jnp.float32), dx_expected, rtol=tolerance, atol=20 * tolerance
    )
