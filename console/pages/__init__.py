"""console.pages: plain HTML made on the server: the status page, signing in, and the reader of the API's description.

No script, no asset from elsewhere; everything that comes from data is escaped.
"""
