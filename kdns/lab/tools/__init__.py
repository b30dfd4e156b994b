"""Small programs for pods without the real ones: nslookup, dig, host, getent, curl, wget, nc, cat.

Each knows the pod that it runs in by its environment (`pod.here`), or where pods have spaces of
their own, reads /etc as any program does. They say what users know from the real ones.
"""
