"""A trained network outside this program: as ONNX, in int8, as safetensors, with what each form costs and scores."""
