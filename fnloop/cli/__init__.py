"""The command `fnloop`."""
