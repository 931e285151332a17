"""One module per subject: `make()` returns one `Golden` or a list of them."""
