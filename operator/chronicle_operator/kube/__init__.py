"""What the operator asks the Kubernetes API about, and what can go wrong; the calls are chronicle_kube's."""
