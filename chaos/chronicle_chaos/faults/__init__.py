"""The faults that scenarios ask for."""
