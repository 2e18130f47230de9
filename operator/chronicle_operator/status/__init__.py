"""Turn observations into conditions, status and events."""
