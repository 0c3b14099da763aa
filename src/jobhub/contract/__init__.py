"""The HTTP contract: every body that goes over the wire, for the service that sends it and the client that reads it."""
