"""Run scenarios inside Kubernetes, as the operator's Job."""
