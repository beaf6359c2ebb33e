"""HTTP/1.1 for the few small requests that keyferry makes, at a quarter of a client library's CPU. Knows no service.

connections.py   kept connections to one origin
exchange.py      one request and its answer over a socket
"""
