"""Three PostgreSQL nodes under Patroni, with etcd as its store: the replicated database that needs wheels alone."""
