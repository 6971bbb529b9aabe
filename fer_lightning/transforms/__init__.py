"""What happens to images on their way to a backbone: augmentation, views, preparing."""
