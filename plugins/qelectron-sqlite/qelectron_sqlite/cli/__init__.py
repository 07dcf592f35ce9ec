"""The commands that show and tidy what is kept; each is imported when it is used."""
