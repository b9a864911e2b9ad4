"""One day of due check-ins and reminders among many enrolled people: `make year`."""
