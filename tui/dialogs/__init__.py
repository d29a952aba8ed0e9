"""Dialogs: what is asked, shown or saved over the main screen."""
