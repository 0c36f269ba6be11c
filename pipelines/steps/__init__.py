"""Steps that several data sets share, one module per kind of data."""
