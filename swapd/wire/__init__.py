"""HTTP out: to a model. The only room that knows httptools."""
