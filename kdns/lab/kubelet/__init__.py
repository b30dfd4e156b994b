"""The scheduler and the kubelets of a lab: pods bound, started, watched over and ended."""
