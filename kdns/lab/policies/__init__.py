"""NetworkPolicies, played: who may connect to whom, and what keeps the others away."""
