"""HTTP/1.1 for streams: our own client on httptools, and aiohttp where there is a proxy."""
