"""From text to `Settings`, with the place of every mistake."""
