"""Studies: agents x environments x seeds under one protocol, from a file to rows, curves, intervals and tables."""
