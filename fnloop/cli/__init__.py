"""The `fnloop` command."""
