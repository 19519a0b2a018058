"""HTTP/1.1 for streams: a client of our own on httptools, and aiohttp where there is a proxy."""
