"""What comes from strangers or must not leak: bounded reading, shapes of JSON, secrets, allowed targets."""
