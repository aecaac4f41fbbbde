"""CAS-CNN in JAX/Flax: JPEG compression artifact removal."""
