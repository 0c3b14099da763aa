"""PostgreSQL as a thing to run: the server that jobhub brings along for people who have none, and the migrations of any server.

Not here: the statements that the program runs (`store`). An installation with a server of its own starts nothing of this.
"""
