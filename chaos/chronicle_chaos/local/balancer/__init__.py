"""The two sides of the local load balancer: a connection of a client, and connections to a replica."""
