"""The controllers of the lab: each turns what is wished into objects, as those of Kubernetes do."""
