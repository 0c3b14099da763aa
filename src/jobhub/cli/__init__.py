"""The command line. Each command imports what it needs when it runs: `jobhub --help` and a worker never load the web framework."""
