"""The data plane: requests for models, as plain ASGI."""
