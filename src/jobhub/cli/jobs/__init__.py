"""`jobhub jobs …` and `jobhub login`: a client of the API, on any machine. It needs nothing of the service and imports nothing of it."""
