"""Heaps: lists whose entry n is not larger than entries 2n+1 and 2n+2."""
