"""Break processes of this machine."""
