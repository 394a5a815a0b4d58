"""Return-conditioned cloning from counts."""
