"""Cards are pairs (rank, suit); ranks 2 to 14, the ace high."""
