"""Fisheries: a stock that grows, and a harvest every year. The card is README.md beside this file."""
