"""Tests that need tools from elsewhere; run by `make test-extras`, which installs them."""
