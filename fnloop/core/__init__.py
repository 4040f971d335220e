"""Frozen records and what everything rests on: checks, digests, random addresses, parameters, errors."""
