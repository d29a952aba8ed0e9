"""How things look: colours, glyphs and themes, for what the terminal can show."""
