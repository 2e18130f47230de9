"""Break pods of a cluster, with Chaos Mesh."""
