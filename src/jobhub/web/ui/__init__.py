"""The pages people look at, under /ui: HTML from the services the API uses, never through the API. One module per room.

A page is opened by a session's cookie and nothing else, the API by a token and nothing else.
"""
