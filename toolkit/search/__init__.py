"""What the search of a square knows, may skip and spends time on: one list, read by Python and made into a C header."""
