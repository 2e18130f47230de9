"""The Kubernetes operator that reconciles ChronicleLedger resources."""
