"""Values that every room understands: frozen dataclasses and numpy arrays. No input, no output."""
