"""The console: pages for the people behind the assistant, rendered here, with htmx and server-sent events."""
