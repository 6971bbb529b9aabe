"""Plug-ins of Hydra, which finds them only in a package named hydra_plugins."""
