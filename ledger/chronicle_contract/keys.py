"""Bearer keys: what a key of the ledger looks like."""

from __future__ import annotations

PREFIX = "clk_"
"""What keys begin with, so that secret scanners and humans know one when they see it."""
