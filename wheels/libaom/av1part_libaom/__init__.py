"""libaom with av1part's pruners inside, as shared libraries beside this file. `av1part` opens them."""
