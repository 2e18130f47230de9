"""Tell how the service and the parts it depends on are."""
