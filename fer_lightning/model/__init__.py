"""Backbones, head, losses, metrics, precision, compiling."""
