"""The basis of every other folder: frozen records, checks, digests, random addresses, the layout of parameters, errors."""
