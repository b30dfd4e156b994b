"""How to run the tests of this folder."""

import os

import pytest


def test_a_cluster_is_named():
    if not os.environ.get("KDNS_E2E_KUBECONFIG"):
        pytest.skip(
            "tests/e2e needs a cluster: `make e2e`, or KDNS_E2E_KUBECONFIG=~/.kube/config pytest tests/e2e"
        )
