"""How the console bears a full team: see __main__.py."""
