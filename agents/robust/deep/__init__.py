"""Deep IWOCS: a robust process solved as a sequence of ordinary ones by SAC. README.md is the card."""
