"""The variables that turn one guarantee of a test ledger off, and the consent without which nothing is turned off."""

from __future__ import annotations

VARIABLE = "CHRONICLE_SABOTAGE"
PERMISSION = "CHRONICLE_SABOTAGE_ALLOWED"
PERMISSION_VALUE = "yes-this-ledger-is-a-test"
