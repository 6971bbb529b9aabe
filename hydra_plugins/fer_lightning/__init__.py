"""What Hydra finds only in a package of this name."""
