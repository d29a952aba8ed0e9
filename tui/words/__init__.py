"""From the model to words."""
