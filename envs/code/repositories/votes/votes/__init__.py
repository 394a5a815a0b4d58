"""Elections; a ballot is a list of candidates, the best first."""
