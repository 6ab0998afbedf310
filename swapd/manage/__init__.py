"""The control plane: all but the models' own routes. The only room that knows Quart."""
