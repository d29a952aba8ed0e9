"""The main screen, in layers: what is shown, and what keys do to it."""
