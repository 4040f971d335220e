"""Recording runs in files, and reading, replaying, searching and continuing them."""
