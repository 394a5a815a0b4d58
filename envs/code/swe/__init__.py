"""Repair tasks in the formats of SWE-bench and SWE-smith, with their repositories as folders."""
