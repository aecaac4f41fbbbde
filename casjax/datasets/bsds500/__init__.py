"""BSDS500: its TFDS builder and the checksums of its files."""
