"""Certificates and credentials of a ledger."""
