"""ODICE: distribution correction estimation with orthogonal gradients."""
