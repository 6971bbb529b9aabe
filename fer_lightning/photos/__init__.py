"""A network on a user's own pictures, videos and camera: what is read, the faces in it, their expressions, and how they are shown."""
