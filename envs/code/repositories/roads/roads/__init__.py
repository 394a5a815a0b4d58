"""Road maps: town -> {neighbour: kilometres}."""
