"""One module per golden file; each has `NAME` and `make(golden)`."""
