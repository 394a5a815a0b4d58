"""PRDC: policy regularisation with dataset constraint."""
