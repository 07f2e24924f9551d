"""The server, tested as a process of its own on a free port of the loopback interface."""
