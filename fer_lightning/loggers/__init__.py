"""Mirrors of the run folder: W&B, TensorBoard, MLflow."""
