"""List the labeled images of each kind of data source: folders, tables, archives and URLs."""
