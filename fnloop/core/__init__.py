"""What every other folder builds on: frozen records, checks, digests, random addresses, the layout of parameters, errors."""
