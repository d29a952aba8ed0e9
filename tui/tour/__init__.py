"""The guided tour: the console itself, with captions, and with keys that are pressed for the audience."""
