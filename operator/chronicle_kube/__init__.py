"""The one adapter to Kubernetes: the operator, scenario runs and the command line speak through it."""
