"""Container images without Docker: assembled from blobs, pushed over the registry's HTTP API."""
