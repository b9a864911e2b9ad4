"""The other sides of the service, as tests meet them: servers that nobody here wrote."""
