"""The gRPC server in front of the solver."""
