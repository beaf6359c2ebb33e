"""HTTP/1.1 for the few small requests that keyferry makes, at a quarter of a client library's CPU. Knows no service.

connections.py   the connections to one origin: callers hand requests in and wait for all their answers
turns.py         whose request gets a connection next (pure)
names.py         the addresses of a host
link.py          one connection: opened, and used for one exchange after the other
exchange.py      an answer, read from the pieces in which it arrives (pure)
tls.py           what a client trusts
loop.py          the thread that waits for all connections at once
"""
