"""Facial expression recognition studies on FER-2013: PyTorch Lightning trains, Hydra composes."""

__version__ = "0.1.0"
