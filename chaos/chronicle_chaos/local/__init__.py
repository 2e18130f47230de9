"""The cluster of processes on one machine."""
