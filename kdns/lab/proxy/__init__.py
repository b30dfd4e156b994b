"""kube-proxy, played in the lab's process: what services and ingresses say becomes listeners."""
