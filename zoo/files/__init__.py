"""Files on this machine: the cache folder, downloads and atomic writes. Never imports torch."""
