"""List the labeled images of each kind of data source: folders, tables and archives."""
