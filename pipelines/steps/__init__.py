"""Steps that several data sets share, one kind of data a module."""
