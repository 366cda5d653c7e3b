"""Getting files onto this disk whole: the cache folder, downloads, atomic writes. Never imports torch."""
