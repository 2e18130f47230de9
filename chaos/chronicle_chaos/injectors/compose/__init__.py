"""Break containers of a compose stack."""
