"""Import of a model that was made elsewhere: an adapter, a whole model or a GGUF file becomes a registered version."""
