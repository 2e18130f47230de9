"""Manifests that install the operator."""
