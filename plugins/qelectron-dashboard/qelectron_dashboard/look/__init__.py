"""How pages look: colours, the frame of every page, and what several pages show."""
